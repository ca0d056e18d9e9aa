"""The small picture of a course."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.plugin import Message
from aiops.plugin.plot import BAND, HEIGHT, LEFT, LIMIT, LINE, RIGHT, WIDTH, png

NONE: list[float | None] = [None] * 60


def a_course(**other: Any) -> dict[str, Any]:
    times = [1_767_225_600.0 + 60 * n for n in range(60)]
    observed: list[float | None] = [float(n) for n in range(60)]
    return {"times": times, "observed": observed, "lower": [0.0] * 60, "upper": [30.0] * 60, **other}


def pixels(picture: bytes) -> NDArray[np.uint8]:
    """Read by the specification, each part's checksum proved."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    at, data = 8, b""
    while at < len(picture):
        (size,) = struct.unpack(">I", picture[at : at + 4])
        kind, body = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        assert struct.unpack(">I", picture[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(HEIGHT, 1 + WIDTH * 3)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(HEIGHT, WIDTH, 3)


def where(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.intp]:
    return np.argwhere((image == colour).all(2))


def test_the_line_rises_across_the_picture_and_the_band_lies_below() -> None:
    image = pixels(png(a_course()))
    line = where(image, LINE)
    left, right = line[line[:, 1] < LEFT + 20, 0].mean(), line[line[:, 1] > WIDTH - RIGHT - 20, 0].mean()
    assert left - right > 0.7 * HEIGHT
    assert where(image, BAND)[:, 0].min() > right + 0.3 * HEIGHT
    assert len(where(image, LIMIT)) == 0


def test_a_limit_is_a_level_line_and_always_within_the_picture() -> None:
    rows = where(pixels(png(a_course(bound=500.0))), LIMIT)[:, 0]
    assert len(rows)
    assert rows.max() - rows.min() <= 2


def test_a_gap_stays_a_gap() -> None:
    observed: list[float | None] = [1.0] * 60
    observed[20:40] = [None] * 20
    columns = set(where(pixels(png(a_course(observed=observed, lower=NONE, upper=NONE))), LINE)[:, 1])
    middle = (LEFT + WIDTH - RIGHT) // 2
    assert not columns & set(range(middle - 60, middle + 60))
    assert min(columns) < LEFT + 10
    assert max(columns) > WIDTH - RIGHT - 10


@pytest.mark.parametrize("level", [0.0, -5.0, 1e-12, 3e15])
def test_a_level_course_of_any_size_is_drawn(level: float) -> None:
    flat = a_course(observed=[level] * 60, lower=[level] * 60, upper=[level] * 60)
    assert len(where(pixels(png(flat)), LINE)) > 200


def test_there_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="no sample"):
        png(a_course(observed=NONE))


def test_a_message_draws_what_its_body_holds() -> None:
    plot = a_course(title="x", metric="node:memory/used ratio", bound=None)
    body = {"plots": [plot, {**plot, "observed": NONE}]}
    (one,) = Message("id", "fw-1", "opened", 0.0, body).pictures()
    assert one.name == "1-node-memory-used-ratio.png"
    assert pixels(one.png).any()
    assert Message("id", "fw-1", "opened", 0.0, {}).pictures() == []
