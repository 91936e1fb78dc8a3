"""Messages through a pipe: four bytes of length, then the message. Owns the cutting; knows no message."""

import os
import struct

__all__ = ["Frames", "write_frame"]

_HEAD = struct.Struct("<I")


def write_frame(fd: int, message: bytes) -> None:
    """Write one message whole. Raises: BrokenPipeError: nobody reads any more."""
    data = memoryview(_HEAD.pack(len(message)) + message)
    while data:
        data = data[os.write(fd, data) :]


class Frames:
    """The messages that come out of one pipe; ``ended``: its writers are all gone."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = bytearray()
        self.ended = False

    def more(self) -> list[bytes]:
        """Wait for bytes, and return the messages that are whole now."""
        part = os.read(self._fd, 1 << 16)
        if not part:
            self.ended = True
            return []
        self._rest += part
        whole = []
        while len(self._rest) >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._rest)
            if len(self._rest) < _HEAD.size + size:
                break
            whole.append(bytes(self._rest[_HEAD.size : _HEAD.size + size]))
            del self._rest[: _HEAD.size + size]
        return whole
