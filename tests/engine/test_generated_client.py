"""A client that openapi-python-client makes from the OpenAPI document talks to a real engine."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio

from aiops.engine.engine import Engine
from aiops.web.app import create_app
from tests.browser import served
from tests.world import token_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
NAME = "forewarn_client"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(engine: Engine) -> AsyncIterator[str]:
    async with served(engine) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def package(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """Made from what the server says of itself; what cannot be understood, and so is left out, warns."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "settings.json").write_text('{"post_hooks": []}')  # unformatted is good enough
    command = [
        *(sys.executable, "-W", "ignore", "-m", "openapi_python_client", "generate"),
        *("--url", f"{url}/api/v1/openapi.json", "--meta", "none", "--output-path", folder / NAME),
        *("--config", folder / "settings.json", "--fail-on-warning"),
    ]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=folder
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-8000:]
    sys.path.insert(0, str(folder))
    yield folder / NAME
    sys.path.remove(str(folder))
    for name in [one for one in sys.modules if one.partition(".")[0] == NAME]:
        del sys.modules[name]


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine, url: str, package: Path) -> AsyncIterator[Any]:
    kind = module("client").AuthenticatedClient
    async with kind(base_url=url, token=await token_of(engine)) as made:
        yield made


def module(name: str) -> ModuleType:
    return importlib.import_module(f"{NAME}.{name}")


def operation(name: str) -> ModuleType:
    return module(f"api.{name}")


async def test_no_operation_is_left_out(engine: Engine, package: Path) -> None:
    paths = create_app(engine).openapi()["paths"]
    described = {one["operationId"] for ways in paths.values() for one in ways.values()}
    made = {path.stem for path in (package / "api").glob("*/*.py")} - {"__init__"}
    assert described <= made, described - made
    assert len(described) > 60


async def test_lists_are_paged_and_details_are_typed(client: Any) -> None:
    listed = operation("problems.list_problems")
    every = await listed.asyncio(client=client)
    found, cursor = [], None
    while True:
        page = await listed.asyncio(client=client, limit=2, **({"cursor": cursor} if cursor else {}))
        found += page.items
        cursor = page.next_
        if not cursor:
            break
    assert [one.id for one in found] == [one.id for one in every.items]
    assert len(found) > 2
    whole = await operation("problems.get_problem").asyncio(found[0].id, client=client)
    assert (whole.id, whole.title) == (found[0].id, found[0].title)
    assert whole.opened.tzinfo is not None
    assert whole.alerts[0].labels.to_dict()
    assert whole.evidence.to_dict()
    assert whole.timeline[0].reason


async def test_people_act_through_it(client: Any) -> None:
    models = module("models")
    open_ones = await operation("problems.list_problems").asyncio(
        client=client, state=[models.ProblemState.OPEN]
    )
    ident = open_ones.items[0].id
    told = await operation("problems.acknowledge_problem").asyncio(ident, client=client)
    assert (told.told, told.problem.id) == ("acknowledge", ident)
    create = operation("silences.create_silence")
    wish = models.SilenceIn(match='{service="search"}', reason="reindexing", duration="2h")
    first = await create.asyncio_detailed(client=client, body=wish, idempotency_key="generated-1")
    again = await create.asyncio_detailed(client=client, body=wish, idempotency_key="generated-1")
    assert (first.status_code, first.parsed.state) == (201, "active")
    assert again.parsed == first.parsed
    assert again.headers["idempotency-replayed"] == "true"
    kept = await operation("silences.list_silences").asyncio(client=client)
    assert [one.id for one in kept.items] == [first.parsed.id]


async def test_refusals_are_understood(client: Any, url: str) -> None:
    details = module("models").ProblemDetails
    missing = await operation("problems.get_problem").asyncio(424242, client=client)
    assert isinstance(missing, details)
    assert (missing.status, missing.detail) == (404, "there is no problem 424242")
    wish = module("models").SilenceIn(match="{service~1}", reason="x")
    wrong = await operation("silences.create_silence").asyncio(client=client, body=wish)
    assert isinstance(wrong, details)
    assert wrong.status == 422
    async with module("client").AuthenticatedClient(base_url=url, token="fw_wrong") as nobody:
        refused = await operation("silences.create_silence").asyncio_detailed(client=nobody, body=wish)
    assert (refused.status_code, refused.parsed.status) == (401, 401)


async def test_what_has_not_changed_is_not_sent_again(client: Any) -> None:
    listed = operation("runs.list_runs")
    first = await listed.asyncio_detailed(client=client)
    again = await listed.asyncio_detailed(client=client, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content, again.parsed) == (304, b"", None)
