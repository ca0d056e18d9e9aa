"""A process of its own that works on runs until it is killed: ``python -m tests.engine.crash_worker URL``."""

import asyncio
import sys
from pathlib import Path

from aiops.store.database import Database
from tests.engine.run_fixtures import Bench


async def main(url: str) -> None:
    await Bench(Database(url), Path()).worker().run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
