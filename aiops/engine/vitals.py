"""How the process itself does: memory, processor, descriptors, disk, and what learnt state weighs."""

import os
import platform
import resource
import shutil
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

import aiops
from aiops.core.objectives import ObjectiveWatch
from aiops.engine.capture import parts
from aiops.engine.metrics import Metrics
from aiops.engine.scale.gauges import of_shards
from aiops.engine.state import State
from aiops.model.lifecycle import RunState
from aiops.store.database import Database

WAITING = (RunState.QUEUED, RunState.AWAITING_APPROVAL)


def of_process(metrics: Metrics, data: Path) -> None:
    """Reads /proc and the file system of `data`; what cannot be read keeps its last value."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    metrics.cpu.set(usage.ru_utime + usage.ru_stime)
    metrics.most_files.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        metrics.resident.set(pages * os.sysconf("SC_PAGE_SIZE"))
        metrics.open_files.set(len(os.listdir("/proc/self/fd")))
    except OSError:
        # no descriptor is left to look with: then as many are open as may be
        metrics.open_files.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        disk = shutil.disk_usage(data)
        metrics.disk_free.set(disk.free / disk.total)
    except OSError:
        pass


def of_state(metrics: Metrics, state: State) -> None:
    """In the pipeline's turn."""
    whole = 0
    for name, columns in parts(state).items():
        metrics.state_bytes.labels(name).set(columns.nbytes)
        whole += columns.nbytes
    metrics.series_bytes.set(whole / max(1, len(state.index)))
    of_shards(metrics, state.detection, state.config.scale)
    runs = [run.state for run in state.remediation.recent()]
    for one in WAITING:
        metrics.runs_waiting.labels(one.value).set(runs.count(one))


def of_objectives(metrics: Metrics, state: State) -> None:
    """In the pipeline's turn; those that the configuration has no more are dropped."""
    left = {one.rule.name: one.left() for one in state.rules if isinstance(one, ObjectiveWatch)}
    told = {sample.labels["slo"] for whole in metrics.budget_left.collect() for sample in whole.samples}
    for name in told - left.keys():
        metrics.budget_left.remove(name)
    for name, share in left.items():
        metrics.budget_left.labels(name).set(share)


def of_build(metrics: Metrics, db: Database) -> None:
    """Once."""
    metrics.build.labels(aiops.__version__, platform.python_version(), db.url.get_backend_name()).set(1)


def store_bytes(conn: Connection) -> float:
    """Size of the database, as it says itself."""
    if conn.dialect.name == "postgresql":
        return float(
            conn.execute(sa.select(sa.func.pg_database_size(sa.func.current_database()))).scalar_one()
        )
    pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
    return float(pages * conn.exec_driver_sql("PRAGMA page_size").scalar_one())
