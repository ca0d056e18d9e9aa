"""``forewarn dashboards``: alert rules and a dashboard on Forewarn itself, made from its own metrics."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from aiops.cli.own_signals import ROWS, RULES, RUNBOOK, Panel

_OF = 'instance=~"$instance"'


def dashboards(
    folder: Annotated[
        Path | None, typer.Argument(help="Write alerts.yaml and dashboard.json there.", metavar="[FOLDER]")
    ] = None,
) -> None:
    """Print Prometheus' alert rules and Grafana's dashboard on Forewarn itself.

    Examples:

      forewarn dashboards /etc/prometheus/forewarn

      forewarn dashboards helm/files
    """
    for name, text in files().items():
        if folder is None:
            typer.echo(text)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")


def files() -> dict[str, str]:
    """File name -> text."""
    return {"alerts.yaml": alerts(), "dashboard.json": json.dumps(dashboard(), indent=1) + "\n"}


def alerts() -> str:
    """The rules as a file for Prometheus. Written by hand, for the order and the line breaks of people."""
    lines = [
        "# Written by `forewarn dashboards`; docs/runbook.md says what to do.",
        "groups:",
        "- name: forewarn",
        "  rules:",
    ]
    for rule in RULES:
        lines += [
            f"  - alert: {rule.name}",
            f"    expr: {json.dumps(rule.expr)}",
            f"    for: {rule.lasts}",
            f"    labels: {{severity: {rule.severity}}}",
            "    annotations:",
            f"      summary: {json.dumps(rule.summary)}",
            f"      runbook: {RUNBOOK}#{rule.name.lower()}",
        ]
    return "\n".join(lines) + "\n"


def dashboard() -> dict[str, Any]:
    """Grafana's own model of a dashboard (schema 39), which its import and its sidecar take."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row, members in ROWS.items():
        where = {"x": 0, "y": top, "w": 24, "h": 1}
        head = {"type": "row", "title": row, "collapsed": False, "panels": [], "gridPos": where}
        panels.append({"id": len(panels) + 1, **head})
        for place, panel in enumerate(members):
            where = {"x": 8 * (place % 3), "y": top + 1 + 7 * (place // 3), "w": 8, "h": 7}
            panels.append(_panel(panel, where, len(panels) + 1))
        top += 1 + 7 * -(-len(members) // 3)
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    instance = {
        "name": "instance",
        "type": "query",
        "multi": True,
        "includeAll": True,
        "refresh": 2,
        "allValue": ".*",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "current": {"text": "All", "value": "$__all"},
        "query": "label_values(forewarn_start_time_seconds, instance)",
    }
    return {
        "title": "Forewarn",
        "uid": "forewarn",
        "tags": ["forewarn"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source, instance]},
        "panels": panels,
    }


def _panel(panel: Panel, where: dict[str, int], ident: int) -> dict[str, Any]:
    title, unit, targets = panel
    data = {"type": "prometheus", "uid": "${datasource}"}
    kind = "stat" if unit == "dateTimeFromNow" or title == "What runs" else "timeseries"
    asked = [
        {"refId": chr(65 + place), "expr": whole(expr), "legendFormat": legend, "datasource": data}
        for place, (expr, legend) in enumerate(targets)
    ]
    options = {"textMode": "name"} if title == "What runs" else {}
    return {
        "id": ident,
        "type": kind,
        "title": title,
        "datasource": data,
        "gridPos": where,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": options,
        "targets": asked,
    }


def whole(expr: str) -> str:
    """With its abbreviations written out: ``$p99(histogram)`` and ``$of``."""
    if expr.startswith("$p"):
        quantile, name = expr[2:4], expr[5:-1]
        by = "le, source" if name == "forewarn_pull_seconds" else "le"
        rate = f"rate({name}_bucket{{{_OF}}}[$__rate_interval])"
        return f"histogram_quantile(0.{quantile}, sum by ({by}) ({rate}))"
    return expr.replace("{$of}", f"{{{_OF}}}")
