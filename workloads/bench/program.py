"""One running benchmark program: starts it, asks it for one run of a case at a time, ends it.

Owns the child process and the conversation of `c/harness.h`. Must not choose what to ask. A program that dies or stays
silent past its deadline is reported as Unavailable with its own last words.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from workloads.bench.build import Unavailable


class Program:
    """A started program of workloads/bench/c. through: a command that runs it."""

    def __init__(
        self,
        path: Path,
        *,
        cores: tuple[int, int],
        budget_ms: float,
        environment: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
    ) -> None:
        self.name = path.stem.rpartition("-")[0] or path.stem
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the program
        self._pending = b""
        self._child = subprocess.Popen(
            [*through, str(path), str(cores[0]), str(cores[1]), str(budget_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={**os.environ, **(environment or {})},
        )

    def ask(self, case: str, *, timeout_s: float) -> float:
        """One run of a case, in the case's unit.

        Raises Unavailable: the program refused the case, died, or did not answer in time (it is then ended).
        """
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise Unavailable(f"{self.name} was ended")
        try:
            stdin.write(case.encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise Unavailable(self._last_words()) from None
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stdout], [], [], left)[0]:
                self.close()
                raise Unavailable(f"{self.name} did not answer within {timeout_s:.0f} s")
            piece = os.read(stdout.fileno(), 4096)
            if not piece:
                raise Unavailable(self._last_words())
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        told, _, rest = line.decode(errors="replace").partition(" ")
        if told != case:
            self.close()
            raise Unavailable(f"{self.name} answered {line!r} to {case!r}")
        if rest.startswith("! "):
            raise Unavailable(rest[2:])
        return float(rest)

    def _last_words(self) -> str:
        try:
            status: int | str = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            status = "killed"
        self._complaints.seek(0)
        words = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"{self.name} ended with {status}: {words[-1] if words else 'no message'}"

    def close(self) -> None:
        """Ends the program; any number of times."""
        if self._child.stdin is not None and not self._child.stdin.closed:
            try:
                self._child.stdin.close()
            except BrokenPipeError:  # it died with a question unread
                self._child.stdin = None
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._complaints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
