"""Load, or compile on first use, what a decoder runs on: seconds, so not in the event loop."""

import numpy as np

from aiops.model.series import NAME, SeriesIndex
from aiops.wire._bytes import PAD
from aiops.wire._named import refs
from aiops.wire.exposition import Exposition
from aiops.wire.intake import Intake
from aiops.wire.remote_write import RemoteWrite

_LE = b"\x0a\x0a\x0a\x02le\x12\x04+Inf"
_BUCKET = b"\x0a\x14\x0a\x08__name__\x12\x08x_bucket"
_SAMPLE = b"\x12\x10\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x80\x80\x80\x80\x80\x40"


def remote_write() -> None:
    """All that a `RemoteWrite` may run."""
    one = RemoteWrite(Intake(SeriesIndex()))
    series = _BUCKET + _LE + _SAMPLE
    message = b"\x0a" + bytes([len(series)]) + series
    symbols = b"\x22\x00\x22\x08__name__\x22\x01x"
    second = b"\x0a\x02\x01\x02" + _SAMPLE
    for version, text in ((1, message), (2, symbols + b"\x2a" + bytes([len(second)]) + second)):
        one.read(np.frombuffer(text + bytes(PAD), np.uint8).copy(), len(text), version)
    histograms = one.intake.histograms
    histograms.watched(np.zeros(1, np.int32), 1000)


def named() -> None:
    """All that a decoder may run that names its series in Python."""
    intake = Intake(SeriesIndex())
    found = refs(intake, np.ones(1, np.uint64), lambda k: {NAME: "x"}, np.zeros(1, np.int64))
    intake.take(found, np.full(1, 1000), np.zeros(1))


def exposition() -> None:
    """All that an `Exposition` may run."""
    one = Exposition(Intake(SeriesIndex()))
    for k in range(2):
        one.decode(b'# TYPE x histogram\nx_bucket{le="+Inf"} 1\n', 1000.0 + k)
    one.intake.histograms.watched(np.zeros(1, np.int32), 1000)
