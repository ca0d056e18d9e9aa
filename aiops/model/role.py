"""What somebody may do: four roles, each of which may all that the one before may."""

from enum import StrEnum


class Role(StrEnum):
    """In ascending order."""

    VIEWER = "viewer"
    """Reads everything but secrets."""
    RESPONDER = "responder"
    """Handles problems, runs, holds, silences and dead letters."""
    AUTHOR = "author"
    """Tries and takes up configuration and playbooks."""
    ADMIN = "admin"
    """Makes and ends accounts and tokens."""

    @property
    def level(self) -> int:
        return list(Role).index(self)

    def covers(self, asked: "Role") -> bool:
        """Whether what `asked` may do is part of this role."""
        return self.level >= asked.level
