"""open() under faults: the same objects as ever, over a raw file that may fail to be opened, read, written and closed.

Owns how a text or buffered file is put together. What is written fails where a full disk fails: when buffers are
emptied.
Source: the documentation of io.open.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import warnings
from collections.abc import Mapping
from typing import IO, Any

from faultinj.run.interception import Interception, Standing
from faultinj.run.places import SystemPoint

__all__ = ["put_in_place"]

_MORE = 1 << 16  # bytes that are read at once after a short read


def put_in_place(points: Mapping[str, SystemPoint], interception: Interception) -> None:
    """Have open() and io.open() reach those of these points that are theirs."""
    if not any(name.startswith("file.") for name in points) or isinstance(io.open, Standing):
        return
    opening, genuine = points.get("file.open"), io.open
    made = _raw_class(points)

    def open(  # noqa: A001 - it is the function of that name
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> IO[Any]:
        if _asked_by_interpreter():
            return genuine(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if opening is not None and not isinstance(file, int):  # a descriptor that is there already is not asked for
            opening.reach(file, 0, (file,) if isinstance(file, (str, bytes, os.PathLike)) else ())
        # Whatever open() refuses is refused by open() itself.
        if not isinstance(mode, str) or _refused(mode, buffering, (encoding, errors, newline)):
            return genuine(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw_mode = "".join(letter for letter in mode if letter not in "bt")
        raw = made(file, raw_mode, closefd, opener)
        try:
            return _dressed(raw, mode, buffering, encoding, errors, newline)
        except BaseException:
            io.FileIO.close(raw)
            raise

    standing = Standing(genuine, open, "io")
    for module in (builtins, io):  # _io.open is how the interpreter reads modules
        interception.replace(module, "open", standing)


def _raw_class(points: Mapping[str, SystemPoint]) -> type[io.FileIO]:
    """The class of raw files whose calls reach the points that are wanted; where none is, they are the genuine ones."""
    reading, writing, closing = (points.get(f"file.{what}") for what in ("read", "write", "close"))

    class FileIO(io.FileIO):
        """A raw file whose calls reach points."""

    def readinto(self: io.FileIO, buffer: Any, /) -> int:
        assert reading is not None
        view = memoryview(buffer).cast("B")
        most = reading.reach(self.name, len(view))
        return io.FileIO.readinto(self, view if most is None else view[:most])

    def read(self: io.FileIO, size: int | None = -1, /) -> bytes:
        assert reading is not None
        if size is None or size < 0:
            return self.readall()
        most = reading.reach(self.name, size)
        return io.FileIO.read(self, size if most is None else min(size, most))

    def readall(self: io.FileIO) -> bytes:
        assert reading is not None
        most = reading.reach(self.name)
        if most is None:
            return io.FileIO.readall(self)
        part = io.FileIO.read(self, most)
        parts = []
        while part:  # a short read is not yet the end
            parts.append(part)
            part = io.FileIO.read(self, _MORE)
        return b"".join(parts) if parts else part

    def write(self: io.FileIO, data: Any, /) -> int:
        assert writing is not None
        view = memoryview(data).cast("B")
        most = writing.reach(self.name, len(view))
        return io.FileIO.write(self, view if most is None else view[:most])

    def close(self: io.FileIO) -> None:
        assert closing is not None
        open_before = not self.closed
        io.FileIO.close(self)  # as close(2): it is closed, whatever it tells
        if open_before:
            closing.reach(self.name)

    made: Any = FileIO
    if reading is not None:
        made.readinto, made.read, made.readall = readinto, read, readall
    if writing is not None:
        made.write = write
    if closing is not None:
        made.close = close
    made.__module__, made.__qualname__ = "_io", "FileIO"
    return FileIO


def _asked_by_interpreter() -> bool:
    """Whether C code opens a source file to print the lines of a traceback: it calls without a caller."""
    try:
        sys._getframe(3)  # above this function, open() and its Standing
    except ValueError:
        return True
    return False


def _refused(mode: str, buffering: int, text: tuple[str | None, str | None, str | None]) -> bool:
    letters = set(mode)
    if (
        letters - set("rwaxbt+")
        or len(letters) != len(mode)
        or len(letters & set("rwax")) != 1
        or {"b", "t"} <= letters
    ):
        return True
    return text != (None, None, None) if "b" in letters else buffering == 0


def _dressed(
    raw: io.FileIO, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> IO[Any]:
    binary = "b" in mode
    if buffering == 1 and binary:
        warnings.warn("line buffering (buffering=1) isn't supported in binary mode", RuntimeWarning, stacklevel=5)
        buffering = -1
    line = buffering == 1 or (buffering < 0 and not binary and raw.isatty())
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else max(getattr(os.fstat(raw.fileno()), "st_blksize", 0), io.DEFAULT_BUFFER_SIZE)
    if "+" in mode:
        buffered: Any = io.BufferedRandom(raw, size)
    elif "r" in mode:
        buffered = io.BufferedReader(raw, size)
    else:
        buffered = io.BufferedWriter(raw, size)
    if binary:
        return buffered  # type: ignore[no-any-return]
    text = io.TextIOWrapper(buffered, io.text_encoding(encoding, 5), errors, newline, line)
    text.mode = mode  # type: ignore[misc]
    return text
