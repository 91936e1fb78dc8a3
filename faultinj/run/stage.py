"""Where a swept program runs: in the caller's directory, or each time in a fresh copy of one, with a TMPDIR of its own.

Owns the copies and the list of files that are there after a run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Stage", "staged"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One run's directory. directory: None: the caller's; tmp: what TMPDIR is, None: as ever; watch: directories
    besides, in which a fault must leave nothing."""

    directory: Path | None
    tmp: Path | None
    watch: tuple[Path, ...]

    def files(self) -> frozenset[str]:
        """What is there: paths in watched directories, and in a fresh copy paths relative to it ("tmp/..." in TMPDIR),
        but for the byte code that Python keeps."""
        roots = [(root, f"{root}{os.sep}") for root in self.watch]
        if self.directory is not None and self.tmp is not None:
            roots += [(self.directory, ""), (self.tmp, f"tmp{os.sep}")]
        return frozenset(f"{prefix}{name}" for root, prefix in roots for name in _below(root))

    def environment(self, env: dict[str, str]) -> dict[str, str]:
        """The environment of a program that runs here."""
        return env if self.tmp is None else env | {"TMPDIR": str(self.tmp), "PWD": str(self.directory)}

    def take_away(self, names: frozenset[str]) -> None:
        """Remove what a run left in watched directories, so that the next does not find it; a copy goes as a whole."""
        for name in names:
            if any(name.startswith(f"{root}{os.sep}") for root in self.watch):
                Path(name).unlink(missing_ok=True)


def _below(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


@contextlib.contextmanager
def staged(scratch: Path | None, watch: Sequence[Path]) -> Iterator[Stage]:
    """The place of one run; a copy is there inside the ``with`` block.   Raises: OSError: it cannot be copied."""
    if scratch is None:
        yield Stage(None, None, tuple(watch))
        return
    place = Path(tempfile.mkdtemp(prefix="faultinj-"))
    try:
        shutil.copytree(scratch, place / "work", symlinks=True)
        (place / "tmp").mkdir()
        yield Stage(place / "work", place / "tmp", tuple(watch))
    finally:
        shutil.rmtree(place)
