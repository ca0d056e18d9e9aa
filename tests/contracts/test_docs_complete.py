"""The documentation says everything that there is, and what it shows works."""

import re
import sys
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from aiops.cli.reference import classes_of, pages
from aiops.config import Config
from aiops.config.playbooks import read_cases, read_playbook
from aiops.config.read import check
from aiops.core.playbook import Playbook
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, text_of
from aiops.plugin import Action, Detector, Sink
from aiops.plugin.connector import Connector, Source
from aiops.plugin.load import HOUSE, _theirs, load

DOCS = HOUSE / "docs"
T0 = 1_767_225_600.0


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_committed_reference_is_what_the_models_say(name: str) -> None:
    committed = (DOCS / "reference" / name).read_text("utf-8")
    assert committed == pages()[name], "run `forewarn reference docs/reference` and commit what it writes"


def _plugins() -> Iterator[type[BaseModel]]:
    for base in (Source, Sink, Detector, Action):
        for _, model in classes_of(base):
            yield model


def _undescribed(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    seen.add(model)
    if not (model.__doc__ or "").strip():
        yield model.__name__
    for name, info in model.model_fields.items():
        inner = [m for m in _models(info.annotation) if m.__module__.split(".")[0] != "pydantic"]
        if not info.description and not inner:
            yield f"{model.__name__}.{name}"
        for block in inner:
            if block not in seen:
                yield from _undescribed(block, seen)


def _models(annotation: Any) -> list[type[BaseModel]]:
    from aiops.cli.reference import _models as models

    return models(annotation)


def test_every_key_of_every_block_and_plugin_is_explained() -> None:
    seen: set[type[BaseModel]] = {Source, Sink, Detector}
    missing = [one for model in (Config, Playbook, *_plugins()) for one in _undescribed(model, seen)]
    assert missing == []


def test_every_own_metric_is_explained_and_named_as_ours() -> None:
    from aiops.engine.metrics import Metrics

    page = (DOCS / "reference/metrics.md").read_text()
    families = list(Metrics().registry.collect())
    assert len(families) > 20
    for family in families:
        assert family.name.startswith("forewarn_")
        assert family.documentation
        assert re.search(rf"`{family.name}(_total)?`", page)


def test_every_link_between_the_pages_leads_somewhere() -> None:
    pages_ = [*DOCS.rglob("*.md"), HOUSE / "README.md"]
    links = [
        (page, to) for page in pages_ for to in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    ]
    broken = [
        f"{page.name}: {to}" for page, to in links if "://" not in to and not (page.parent / to).exists()
    ]
    assert len(links) > 10
    assert broken == []


def _yaml_blocks(page: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def _complaints(text: str) -> list[Any]:
    """What is wrong with a YAML example: a playbook, its cases, a config, or a part of one."""
    if re.search(r"^playbook:", text, re.M):
        read_playbook(text, "example.yaml")
        return []
    if text.startswith("cases:"):
        read_cases(text, "example.test.yaml")
        return []
    whole = text if re.search(r"^sources:", text, re.M) else f"sources: [{{kind: host}}]\n{text}"
    return check(whole, str(HOUSE / "example.yaml"))[1]


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_yaml_example_is_good(page: Path, third_party: Path) -> None:
    for text in _yaml_blocks(page):
        assert _complaints(text) == [], text


EXTENDING = (DOCS / "extending.md").read_text("utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)^```", EXTENDING, re.M | re.S))
ENTRY_POINTS = re.findall(r'^\[project\.entry-points\."(.+)"\]\n(\w+) = "(.+)"$', EXTENDING, re.M)


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's examples, installed as a package of somebody else."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    meta = tmp_path / "my_forewarn-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: my-forewarn\nVersion: 1\n")
    lines = [f"[{group}]\n{kind} = {where}\n" for group, kind, where in ENTRY_POINTS]
    (meta / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    _theirs.cache_clear()  # a process looks once for what is installed
    yield tmp_path
    _theirs.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "my_forewarn"]:
        del sys.modules[name]


def test_the_page_shows_a_connector_a_detector_and_an_action_of_few_lines() -> None:
    assert {group for group, _, _ in ENTRY_POINTS} == {
        "forewarn.connectors",
        "forewarn.detectors",
        "forewarn.actions",
    }
    assert len(FILES) == 3
    assert max(len(text.splitlines()) for text in FILES.values()) < 60


async def test_the_connector_of_the_page_watches_a_folder(third_party: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    made = load("connectors", "spool", Connector).model_validate({"name": "in", "path": spool})  # type: ignore[type-abstract]
    index = SeriesIndex()
    made.open(index)

    async def reading(until: float) -> dict[str, float]:
        (frame,) = [batch async for batch in made.pull(0, until) if isinstance(batch, Frame)]
        assert frame.times.tolist() == [until]
        return {
            text_of(index.labels(int(s))): float(v) for s, v in zip(frame.slots, frame.values[0], strict=True)
        }

    assert await reading(T0) == {'spool_files{spool="in"}': 0, 'spool_oldest_seconds{spool="in"}': 0}
    (spool / "a").write_text("x")
    born = (spool / "a").stat().st_mtime
    found = await reading(born + 90)
    assert found['spool_files{spool="in"}'] == 1
    assert found['spool_oldest_seconds{spool="in"}'] == pytest.approx(90)


def test_the_detector_of_the_page_finds_a_spike_and_nothing_else(third_party: Path) -> None:
    made = load("detectors", "ewma", Detector).model_validate({"span": 60})  # type: ignore[type-abstract]
    made.columns.ensure(2)
    rng = np.random.default_rng(7)
    slots = np.array([0, 1], np.int32)
    worst = 0.0
    for step in range(300):
        frame = Frame(np.array([T0 + step]), slots, rng.normal([[10.0, 500.0]], [[1.0, 20.0]]))
        scores = made.update(frame, np.zeros(2, bool))
        worst = max(worst, float(scores.score.max()))
        assert (scores.score[~made.ready()[None, :2]] == 0).all()
    assert worst < 5
    spike = made.score(Frame(np.array([T0 + 300]), slots, np.array([[10.0, 700.0]])))
    assert spike.score[0, 0] < 1
    assert spike.score[0, 1] > 8
    assert spike.lower[0, 1] < 500 < spike.upper[0, 1] < 700
    nothing = made.score(Frame(np.array([T0 + 301]), slots, np.array([[np.nan, np.nan]])))
    assert nothing.score.tolist() == [[0, 0]]


async def test_the_action_of_the_page_sets_its_flag_and_knows_it(third_party: Path, tmp_path: Path) -> None:
    flag = tmp_path / "drain"
    kind = load("playbooks.actions", "drain_flag", Action)  # type: ignore[type-abstract]
    made = kind.model_validate({"path": flag})
    assert made.plan() == f"set {flag}"
    assert await made.probe("1:0") is False
    outcome = await made.run("1:0")
    assert (outcome.ok, outcome.data) == (True, {"present": True})
    assert await made.probe("1:0") is True
    await kind.model_validate({"path": flag, "verb": "remove"}).run("1:1")
    assert not flag.exists()
