"""A naive encoder of XOR chunks, bit by bit."""

import struct

from tests.bench import gen


class Bits:
    """Bits one after the other, the highest first."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, value: int, count: int) -> None:
        self.text += format(value & ((1 << count) - 1), f"0{count}b")

    def bytes(self) -> bytes:
        whole = self.text + "0" * (-len(self.text) % 8)
        return bytes(int(whole[k : k + 8], 2) for k in range(0, len(whole), 8))


def _varint_bits(bits: Bits, value: int) -> None:
    for byte in gen.varint(value):
        bits.add(byte, 8)


def xor_chunk(samples: list[gen.Sample]) -> bytes:
    """As Prometheus' XOR appender writes it."""
    bits = Bits()
    bits.add(len(samples), 16)
    lead = trail = -1
    time = step = value = 0
    for number, (at, number_value) in enumerate(samples):
        raw = struct.unpack(">Q", struct.pack(">d", number_value))[0]
        if number == 0:
            _varint_bits(bits, at << 1 if at >= 0 else ~(at << 1))
            bits.add(raw, 64)
        else:
            jump, step = at - time - step, at - time
            if number == 1:
                _varint_bits(bits, step)
            else:
                _jump(bits, jump)
            lead, trail = _xor(bits, raw ^ value, lead, trail)
        time, value = at, raw
    return bits.bytes()


def _jump(bits: Bits, jump: int) -> None:
    if jump == 0:
        bits.add(0, 1)
        return
    for size, prefix, length in ((14, 0b10, 2), (17, 0b110, 3), (20, 0b1110, 4)):
        if -((1 << (size - 1)) - 1) <= jump <= 1 << (size - 1):
            bits.add(prefix, length)
            bits.add(jump, size)
            return
    bits.add(0b1111, 4)
    bits.add(jump, 64)


def _xor(bits: Bits, changed: int, lead: int, trail: int) -> tuple[int, int]:
    if changed == 0:
        bits.add(0, 1)
        return lead, trail
    now, behind = min(31, 64 - changed.bit_length()), (changed & -changed).bit_length() - 1
    if lead >= 0 and now >= lead and behind >= trail:
        bits.add(0b10, 2)
        bits.add(changed >> trail, 64 - lead - trail)
        return lead, trail
    size = 64 - now - behind
    bits.add(0b11, 2)
    bits.add(now, 5)
    bits.add(size, 6)
    bits.add(changed >> behind, size)
    return now, behind
