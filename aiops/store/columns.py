"""How tables are made: names of constraints, and the columns that every one has."""

import sqlalchemy as sa

naming = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = sa.MetaData(naming_convention=naming)


def table(name: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    """With its `team`."""
    team = sa.Column("team", sa.Text, nullable=False, server_default="default", index=True)
    # sqlite_autoincrement: a deleted problem's number is never given to another
    return sa.Table(name, metadata, *columns, team, sqlite_autoincrement=True)


def own_id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True, autoincrement=True)


def problem_id(nullable: bool = False, name: str = "problem_id") -> sa.Column[int]:
    """What goes with its problem."""
    reference = sa.ForeignKey("problem.id", ondelete="CASCADE")
    return sa.Column(name, sa.Integer, reference, nullable=nullable, index=True)
