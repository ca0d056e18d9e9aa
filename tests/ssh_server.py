"""A real SSH server on a loopback port, with keys of its own."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh


@dataclass
class SshServer:
    port: int
    identity: Path
    known_hosts: Path
    commands: list[list[str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def login(self) -> dict[str, object]:
        """Arguments of the action that lead here."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "identity": str(self.identity),
            "known_hosts": str(self.known_hosts),
        }


@asynccontextmanager
async def ssh_server(folder: Path) -> AsyncIterator[SshServer]:
    """Runs what it is asked to, as this user."""
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    identity, known, authorized = folder / "id", folder / "known_hosts", folder / "authorized_keys"
    user.write_private_key(identity)
    authorized.write_bytes(user.export_public_key())

    async def carry_out(process: asyncssh.SSHServerProcess[bytes]) -> None:
        words = shlex.split(str(process.command))
        made.commands.append(words)
        made.keys.append(process.env.get("FOREWARN_KEY", ""))
        child = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            out, err = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        process.stdout.write(out)
        process.stderr.write(err)
        process.exit(child.returncode or 0)

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host],
        authorized_client_keys=str(authorized),
        process_factory=carry_out,
        encoding=None,
        login_timeout=5,
    )
    port = server.get_port()
    known.write_bytes(f"[127.0.0.1]:{port} ".encode() + host.export_public_key())
    made = SshServer(port, identity, known)
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
