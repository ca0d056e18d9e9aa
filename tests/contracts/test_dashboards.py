"""Alert rules and dashboard: committed as generated, and good PromQL by the real promtool."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiops.cli.dashboards import dashboard, files, whole
from aiops.cli.own_signals import ROWS, RULES
from aiops.engine.metrics import Metrics
from aiops.plugin.load import HOUSE

HELM = HOUSE / "helm" / "files"
NAME = re.compile(r"\bforewarn_[a-z_]+")

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool (make test-servers)")


def known() -> set[str]:
    """Every name that a scrape of `/metrics` yields."""
    found = set()
    for family in Metrics().registry.collect():
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        found |= {family.name + end for end in ends}
    return found


def expressions() -> list[str]:
    return [whole(expr) for row in ROWS.values() for _, _, targets in row for expr, _ in targets]


def promtool(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", sorted(files()))
def test_the_committed_files_are_what_the_code_says(name: str) -> None:
    assert (HELM / name).read_text("utf-8") == files()[name], "run `forewarn dashboards helm/files`"


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = {name for text in [*expressions(), *(rule.expr for rule in RULES)] for name in NAME.findall(text)}
    assert asked - known() == set()


def test_nearly_every_metric_is_on_the_dashboard() -> None:
    asked = {re.sub("_(bucket|total)$", "", name) for text in expressions() for name in NAME.findall(text)}
    missing = {family.name for family in Metrics().registry.collect()} - asked
    assert len(missing) <= 5, missing


def test_every_alert_has_its_section_in_the_runbook() -> None:
    heads = re.findall(r"^## (\w+)$", (HOUSE / "docs" / "runbook.md").read_text("utf-8"), re.M)
    assert [rule.name for rule in RULES] == heads


@needs_promtool
def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    done = promtool("check", "rules", str(HELM / "alerts.yaml"), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


@needs_promtool
def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel_{place}",
            "expr": expr.replace("$__rate_interval", "1m").replace("$instance", ".*"),
        }
        for place, expr in enumerate(expressions())
    ]
    with (tmp_path / "panels.yaml").open("w") as file:
        YAML().dump({"groups": [{"name": "panels", "rules": rules}]}, file)
    done = promtool("check", "rules", "panels.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


FIRES: dict[str, tuple[str, str]] = {
    "ForewarnSourceDown": ('forewarn_source_up{source="prod"}', "0x60"),
    "ForewarnQueueFull": ("forewarn_queue_batches", "64x60"),
    "ForewarnTicketsDead": ("forewarn_deliveries_dead", "2x60"),
    "ForewarnTicketsWait": ("forewarn_delivery_oldest_seconds", "1000x60"),
    "ForewarnStoreRefuses": ("forewarn_commit_failures_total", "0+2x60"),
    "ForewarnDiskFull": ("forewarn_disk_free_ratio", "0.05x60"),
    "ForewarnCheckpointOld": ("forewarn_checkpoint_age_seconds", "700+60x60"),
    "ForewarnRestarts": ("forewarn_start_time_seconds", "0+60x60"),
    "ForewarnRunsFail": ('forewarn_runs_total{playbook="p",state="failed"}', "0+1x60"),
    "ForewarnReloadRefused": ('forewarn_config_reloads_total{outcome="refused"}', "0+1x60"),
}


@needs_promtool
def test_rules_fire_when_they_should_and_are_quiet_when_all_is_well(tmp_path: Path) -> None:
    """By promtool's own unit tests: an hour of each fault, and one in which nothing is wrong."""
    well = [
        {"series": 'forewarn_source_up{source="prod"}', "values": "1x60"},
        {"series": "forewarn_start_time_seconds", "values": "5x60"},
        {"series": "forewarn_queue_batches", "values": "1x60"},
        {"series": "forewarn_deliveries_dead", "values": "0x60"},
        {"series": "forewarn_commit_failures_total", "values": "0x60"},
        {"series": "forewarn_disk_free_ratio", "values": "0.6x60"},
        {"series": "forewarn_resident_bytes", "values": "200000000x60"},
        {"series": "forewarn_checkpoint_age_seconds", "values": "20x60"},
    ]
    tests: list[dict[str, Any]] = [_case(well, [rule.name for rule in RULES[1:]], fires=False)]
    for name, (series, values) in FIRES.items():
        tests.append(_case([{"series": series, "values": values}], [name], fires=True))
    shutil.copy(HELM / "alerts.yaml", tmp_path)
    with (tmp_path / "test.yaml").open("w") as file:
        YAML().dump({"rule_files": ["alerts.yaml"], "evaluation_interval": "1m", "tests": tests}, file)
    done = promtool("test", "rules", "test.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def _case(series: list[dict[str, str]], names: list[str], fires: bool) -> dict[str, Any]:
    """Whether anything fires is asked of ALERTS, whatever the labels."""
    asked = [
        {
            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
            "eval_time": "50m",
            "exp_samples": [{"labels": "{}", "value": int(fires)}],
        }
        for name in names
    ]
    return {"interval": "1m", "input_series": series, "promql_expr_test": asked}


def test_panels_have_a_place_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = {
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    }
    assert len(taken) == sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in panels)
    assert json.loads(files()["dashboard.json"])["title"] == "Forewarn"
