"""Schemathesis asks what the OpenAPI document describes: no server error, no answer but the described."""

import asyncio
import os
import sys
from pathlib import Path

import httpx
import pytest

from tests.browser import served
from tests.world import config_in, running, token_of

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
OTHERS = 60
"""Tokens made before the asker's: what is asked of tokens by small numbers does not close its own door."""


@pytest.mark.timeout(400)
async def test_the_api_answers_as_its_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation; the stream of events too, which ends at once here and not after half an hour."""
    monkeypatch.setattr("aiops.web.events.LIFE", 0.1)
    monkeypatch.setattr("aiops.web.events.ALIVE", 0.1)
    async with running(config_in(tmp_path), live=600) as engine, served(engine) as url:
        for place in range(OTHERS):
            await token_of(engine, f"other {place}")
        asker = {"Authorization": f"Bearer {await token_of(engine)}"}
        command = [
            *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run"),
            f"{url}/api/v1/openapi.json",
            *("--header", f"Authorization: {asker['Authorization']}"),
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
        output, _ = await process.communicate()
        said = output.decode()
        assert process.returncode == 0, said[-8000:]
        async with httpx.AsyncClient(base_url=url, headers=asker) as client:
            document = (await client.get("/api/v1/openapi.json")).json()
            still = await client.get("/api/v1/tokens")
    assert still.status_code == 200, "the asker closed its own door: what came after was refused"
    every = sum(len(ways) for ways in document["paths"].values())
    assert f"{every} selected / {every} total" in said, said[-8000:]
