"""Cases of root cause: PetShop (AWS, 42 nodes, 5 min) and Nezha's Online Boutique (one day, 1 min)."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiops.core.rootcause_score import Family, family
from aiops.core.rootcause_types import Evidence, Measure, Side

PETSHOP, NEZHA = "petshop_low_traffic", "nezha_ob_2022-08-22"
WINDOW, SETTLE, NORMAL = 4, 6, 240
"""Minutes: of a fault's window, until a fault is over, and of normal time around a fault (Nezha)."""
Floats = NDArray[np.float64]
NEZHA_METRICS = {
    "CpuUsageRate(%)": Family.RESOURCE,
    "MemoryUsageRate(%)": Family.RESOURCE,
    "SyscallRead": Family.IO,
    "SyscallWrite": Family.IO,
    "NetworkReceiveBytes": Family.IO,
    "NetworkTransmitBytes": Family.IO,
    "PodClientLatencyP90(s)": Family.WAITING,
    "PodServerLatencyP90(s)": Family.LATENCY,
    "PodClientLatencyP99(s)": Family.WAITING,
    "PodServerLatencyP99(s)": Family.LATENCY,
    "PodWorkload(Ops)": Family.LOAD,
    "PodSuccessRate(%)": Family.AVAILABILITY,
    "NodeCpuUsageRate(%)": Family.SHARED,
    "NodeMemoryUsageRate(%)": Family.SHARED,
    "NodeNetworkReceiveBytes": Family.SHARED,
}


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    evidence: Evidence
    root: str


def petshop(folder: Path) -> Iterator[Case]:
    """26 issues; the SLI is the one that the issue's record says was breached."""
    folder = folder / PETSHOP
    calls = tuple(_adjacent(folder / "graph.csv"))
    quiet, normal = _table(folder / "noissue" / "metrics.csv")
    for place in sorted(folder.glob("t*/issue_*")):
        said = json.loads((place / "target.json").read_text())
        heads, values = _table(place / "metrics.csv")
        at = {head: i for i, head in enumerate(heads)}
        heads = [head for head in quiet if head in at]
        here = [quiet.index(head) for head in heads]
        measures = [Measure(node, f"{metric} {agg}", family(metric)) for node, metric, agg in heads]
        target = said["target"]
        sli = heads.index((target["node"], target["metric"], target["agg"]))
        evidence = Evidence(
            measures,
            normal[:, here],
            values[:, [at[head] for head in heads]],
            calls,
            sli,
            virtual=frozenset(node for node, _, _ in heads if node.endswith("_remote")),
        )
        yield Case(f"{place.parent.name}/{place.name}", evidence, said["root_cause"]["node"])


def _table(path: Path) -> tuple[list[tuple[str, str, str]], Floats]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    heads = list(zip(rows[0][1:], rows[1][1:], rows[2][1:], strict=True))
    body = rows[4:] if not rows[3][1:] or not any(rows[3][1:]) else rows[3:]
    return heads, np.array([[_number(cell) for cell in row[1:]] for row in body])


def _adjacent(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    for row in rows:
        yield from ((row[0], callee) for callee, cell in zip(head[1:], row[1:], strict=True) if float(cell))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def nezha(folder: Path) -> Iterator[Case]:
    """24 faults of a day; normal is the quiet time of the same day nearest to the fault."""
    folder = folder / NEZHA
    measures, times, values = _day(folder / "metric")
    calls = tuple(_dependencies(folder / "metric" / "dependency.csv"))
    said = json.loads(next(folder.glob("*-fault_list.json")).read_text())
    faults = sorted((_minute(x["inject_time"]), x) for hour in said.values() for x in hour)
    quiet = np.ones(len(times), bool)
    for start, _ in faults:
        quiet &= (times < start - 1) | (times > start + SETTLE)
    for start, fault in faults:
        rows = np.flatnonzero(quiet)
        nearest = np.argsort(np.abs(times[rows] - start), kind="stable")[:NORMAL]
        window = (times > start) & (times <= start + WINDOW)
        evidence = Evidence(measures, values[np.sort(rows[nearest])], values[window], calls)
        yield Case(
            f"{fault['inject_time'][11:]} {fault['inject_type']}", evidence, _service(fault["inject_pod"])
        )


def _service(pod: str) -> str:
    return re.sub(r"-[a-z0-9]{7,10}-[a-z0-9]{5}$", "", pod)


def _minute(text: str) -> int:
    return int(datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()) // 60


def _dependencies(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["Source"] != "loadgenerator" and not re.fullmatch(r"[\d.]+", row["Target"]):
                yield row["Source"], row["Target"]


def _day(folder: Path) -> tuple[list[Measure], NDArray[np.int64], Floats]:
    columns: list[tuple[Measure, dict[int, float]]] = []
    for path in sorted(folder.glob("*_metric.csv")):
        component = _service(path.name.removesuffix("_metric.csv"))
        for name, series in _series(path).items():
            if name in NEZHA_METRICS:
                columns.append((Measure(component, name, NEZHA_METRICS[name]), series))
    for side, file in ((Side.CALLER, "source_50.csv"), (Side.CALLEE, "destination_50.csv")):
        for name, series in _series(folder / file).items():
            caller, _, callee = name.partition("_")
            if callee:
                measure = Measure(caller, "latency p50", Family.LATENCY, callee, side)
                columns.append((measure, series))
    times = np.array(sorted(set().union(*(series for _, series in columns))))
    values = np.array([[series.get(int(t), np.nan) for _, series in columns] for t in times])
    return [measure for measure, _ in columns], times, values


def _series(path: Path) -> dict[str, dict[int, float]]:
    """Column -> minute -> value; the first sample of a minute."""
    out: dict[str, dict[int, float]] = {}
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    for row in rows:
        if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row[0]):
            continue
        minute = _minute(row[0])
        for name, cell in zip(head[1:], row[1:], strict=False):
            if name.lower() not in ("timestamp", "podname", "servicename"):
                out.setdefault(name, {}).setdefault(minute, _number(cell))
    return out
