"""Schemathesis asks what the OpenAPI document describes: no server error, no answer but the described."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.browser import served
from tests.world import config_in, running, token_of

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
ENDLESS = "/api/v1/events"
"""A stream: it has no last byte to wait for."""
DOORS = r"/(tokens|accounts)/"
"""What could close the door behind the asker, who is one of those who may come in."""


@pytest.mark.timeout(400)
async def test_the_api_answers_as_its_document_says(tmp_path: Path) -> None:
    async with running(config_in(tmp_path), live=600) as engine, served(engine) as url:
        command = [
            *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run"),
            f"{url}/api/v1/openapi.json",
            *("--header", f"Authorization: Bearer {await token_of(engine)}"),
            *("--exclude-path", ENDLESS, "--exclude-path-regex", DOORS),
            *("--phases", "examples,fuzzing", "--mode", "all", "--checks", CHECKS),
            *("--max-examples", os.environ.get("FOREWARN_FUZZ_EXAMPLES", "4")),
            *("--seed", "7", "--no-shrink", "--continue-on-failure", "--warnings", "off", "--no-color"),
            *("--generation-database", "none", "--request-timeout", "30"),
        ]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-8000:]
