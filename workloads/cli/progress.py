"""A live progress bar on a terminal; nothing when standard error is no terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from workloads.runner import Progress as Report


@contextlib.contextmanager
def progress_bar(text: str, seconds: float) -> Iterator[Report | None]:
    """Yields: what the runner calls with (seconds since the start, operations so far), or None for silence."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[ops]:>12,} ops"),
        TextColumn("{task.fields[rate]:>10,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=seconds, ops=0, rate=0.0)

        def show(elapsed_s: float, ops: int) -> None:
            rate = ops / elapsed_s if elapsed_s > 0 else 0.0
            bar.update(task, completed=min(elapsed_s, seconds), ops=ops, rate=rate)

        yield show
