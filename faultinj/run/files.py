"""open() under faults: the same objects as ever, over a raw file that may fail to be opened, read and written.

Owns how a text or buffered file is put together. What is written fails where a full disk fails: when buffers are
emptied.
Source: the documentation of io.open.
"""

from __future__ import annotations

import builtins
import io
import os
import warnings
from typing import IO, Any

from faultinj.run.places import SystemPoint
from faultinj.run.places.place import named
from faultinj.run.wrap import Standing

__all__ = ["put_in_place"]


def put_in_place(points: dict[str, SystemPoint]) -> None:
    """Have open() and io.open() reach their points from now on."""
    opening, reading, writing = points["file.open"], points["file.read"], points["file.write"]
    genuine = io.open

    class FileIO(io.FileIO):
        """A raw file whose calls reach the points."""

        def readinto(self, buffer: Any, /) -> int:
            reading(named(self.name), len(buffer))
            return super().readinto(buffer)

        def read(self, size: int | None = -1, /) -> bytes:
            reading(named(self.name), max(0, size or 0))
            return super().read(-1 if size is None else size)

        def readall(self) -> bytes:
            reading(named(self.name))
            return super().readall()

        def write(self, data: Any, /) -> int:
            writing(named(self.name), len(data))
            return super().write(data)

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
        if not isinstance(file, int):  # a descriptor that is there already is not asked of the system
            opening.reached_with(file if isinstance(file, (str, bytes)) else os.fspath(file))
        # Whatever open() refuses is refused by open() itself.
        if not isinstance(mode, str) or _refused(mode, buffering, (encoding, errors, newline)):
            return genuine(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw_mode = "".join(letter for letter in mode if letter not in "bt")
        raw = FileIO(file, raw_mode, closefd, opener)
        try:
            return _dressed(raw, mode, buffering, encoding, errors, newline)
        except BaseException:
            raw.close()
            raise

    io.open = builtins.open = Standing(genuine, open, "io")


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
