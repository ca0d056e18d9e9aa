"""The journald source against real journal files, written by systemd's own tool."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aiops.model.frame import Frame, Lines
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector, Retryable
from aiops.plugin.load import load

REMOTE = shutil.which("systemd-journal-remote", path="/lib/systemd:/usr/lib/systemd")
pytestmark = pytest.mark.skipif(
    not (REMOTE and shutil.which("journalctl")),
    reason="needs journalctl and Debian package systemd-journal-remote (make test-servers)",
)
NOW = 1_700_000_000
BOOT, MACHINE = "0" * 31 + "1", "0" * 31 + "2"


def write(folder: Path, name: str, entries: list[dict[str, str | bytes]]) -> None:
    """A journal file of these entries, a second apart."""
    out = b""
    for number, entry in enumerate(entries):
        at = (NOW + int(str(entry.pop("at", number)))) * 1_000_000
        common = {"_BOOT_ID": BOOT, "_MACHINE_ID": MACHINE, "_HOSTNAME": "web-1"}
        out += f"__REALTIME_TIMESTAMP={at}\n__MONOTONIC_TIMESTAMP={at - NOW * 1_000_000 + 5}\n".encode()
        for key, value in {**common, **entry}.items():
            data = value.encode() if isinstance(value, str) else value
            out += key.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        out += b"\n"
    command = [REMOTE or "", f"--output={folder / name}", "--split-mode=none", "-"]
    subprocess.run(command, input=out, check=True, capture_output=True)


def source(folder: Path, **fields: Any) -> Connector:
    kind = load("connectors", "journald", Connector)  # type: ignore[type-abstract]
    made = kind.model_validate({"name": "j", "directory": folder} | fields)
    made.open(SeriesIndex())
    return made


async def pull(one: Connector, since: float, until: float) -> list[tuple[dict[str, str], float, str]]:
    return [
        (dict(batch.labels), at, text)
        async for batch in one.pull(since, until)
        if isinstance(batch, Lines)
        for at, text in zip(batch.times.tolist(), batch.text, strict=True)
    ]


def said(text: str | bytes, **more: str) -> dict[str, str | bytes]:
    return {"MESSAGE": text, "SYSLOG_IDENTIFIER": "shopd", "_SYSTEMD_UNIT": "shop.service", **more}


async def test_entries_come_with_their_time_labels_and_level(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.journal",
        [said("fine", PRIORITY="6"), said("it broke", PRIORITY="3"), said(b"odd \xff byte")],
    )
    found = await pull(source(tmp_path), NOW - 10, NOW + 10)
    labels = {"host": "web-1", "unit": "shop.service", "app": "shopd"}
    assert found == [
        (labels, NOW, "shopd: fine"),
        (labels, NOW + 1, "ERROR shopd: it broke"),
        (labels, NOW + 2, "shopd: odd \ufffd byte"),
    ]


async def test_it_goes_on_where_it_stopped_also_after_a_restart_and_a_rotation(tmp_path: Path) -> None:
    write(tmp_path, "a.journal", [said("one"), said("two")])
    one = source(tmp_path)
    assert [text for *_, text in await pull(one, NOW - 10, NOW + 10)] == ["shopd: one", "shopd: two"]
    assert await pull(one, NOW + 10, NOW + 20) == []
    other = source(tmp_path)
    other.restore(json.loads(json.dumps(one.snapshot())))
    write(tmp_path, "b.journal", [said("three", at="30"), said("four", at="31")])
    assert [text for *_, text in await pull(other, NOW + 20, NOW + 40)] == ["shopd: three", "shopd: four"]


async def test_units_and_first_contact_limit_what_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.journal",
        [said("old"), said("new", at="100"), said("other", at="101", _SYSTEMD_UNIT="x.service")],
    )
    found = await pull(source(tmp_path, units=["shop.service"]), NOW + 50, NOW + 200)
    assert [text for *_, text in found] == ["shopd: new"]


async def test_a_quiet_journal_has_a_rate_too(tmp_path: Path) -> None:
    write(tmp_path, "a.journal", [said("old")])
    batches = [batch async for batch in source(tmp_path).pull(NOW + 50, NOW + 60)]
    assert [type(batch) for batch in batches] == [Frame]


async def test_a_megabyte_entry_is_one_line_and_what_is_beyond_all_bounds_is_passed_over(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a.journal", [said("m" * (1 << 20)), said("h" * (9 << 20)), said("after")])
    found = [text for *_, text in await pull(source(tmp_path), NOW - 10, NOW + 10)]
    assert found[0] == "shopd: " + "m" * (1 << 20)
    assert found[-1] == "shopd: after"


async def test_a_place_that_is_gone_is_told_and_the_next_pull_goes_on_by_time(tmp_path: Path) -> None:
    write(tmp_path, "a.journal", [said("one"), said("two", at="20")])
    one = source(tmp_path)
    one.restore({"cursor": "no cursor of any journal"})
    with pytest.raises(Retryable, match="going on by time"):
        await pull(one, NOW + 10, NOW + 30)
    assert [text for *_, text in await pull(one, NOW + 10, NOW + 30)] == ["shopd: two"]


async def test_the_clock_set_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.journal", [said("one"), said("two", at="1")])
    one = source(tmp_path)
    assert len(await pull(one, NOW - 10, NOW + 10)) == 2
    write(tmp_path, "b.journal", [said("three", at="30")])
    found = await pull(one, NOW + 10, NOW - 3600)
    assert [(at, text) for _, at, text in found] == [(NOW - 3600, "shopd: three")]
    assert await pull(one, NOW - 3600, NOW + 40) == []
