"""Sans-I/O decoders: bytes in, columns out. They open nothing, read no clock and raise only `WireError`."""


class WireError(ValueError):
    """The bytes are not what they claim to be. `offset`: the byte where it shows; -1: the shape is wrong."""

    def __init__(self, text: str, offset: int = -1) -> None:
        super().__init__(f"byte {offset}: {text}" if offset >= 0 else text)
        self.offset = offset
