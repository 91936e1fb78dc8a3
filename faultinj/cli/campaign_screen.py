"""How a campaign looks in a terminal: its progress bar, and its standing in lines. Owns words and widths only."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from faultinj.campaign.run import Progress as Report
from faultinj.campaign.standing import Standing, Told
from shmalloc.report.amounts import age
from shmalloc.report.table import printable

__all__ = ["complain", "progress_bar", "standing_lines"]

_SHOWN = 20  # sorts of findings that the screen shows; the JSON has all findings


def complain(text: str) -> None:
    """Say on stderr, in one line, what is wrong or what to do next."""
    sys.stderr.write(f"faultinj: {printable(text)}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def progress_bar(name: str, *, quiet: bool) -> Iterator[Callable[[Report], None] | None]:
    """Yields: what the campaign calls after each chunk, or None when stderr is no terminal or nothing is to be
    shown."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} trials"),
        TextColumn("{task.fields[cells]} cells"),
        TextColumn("{task.fields[found]} findings"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None, cells="", found=0, left="")

        def told(report: Report) -> None:
            left = report.forecast.seconds
            bar.update(
                task,
                description=f"{name}: {report.newest.chunk.scenario}/{report.newest.chunk.kind}",
                completed=report.trials,
                total=max(report.forecast.trials, report.trials),
                cells=f"{report.cells_done}/{report.cells}",
                found=report.findings,
                left="" if left is None else f"{age(left)} left",
            )

        yield told


def standing_lines(standing: Standing) -> Iterator[str]:
    """A campaign's standing: findings with the commands that replay them, points left out, the sums, the gate."""
    alike = _alike(standing.findings)
    for first, count in alike[:_SHOWN]:
        yield f"{first.kind}: {first.trial}: {first.detail}"
        yield f"    {first.replay}" + (f"   ({count - 1} more like it)" if count > 1 else "")
    if len(alike) > _SHOWN:
        yield f"... and {len(alike) - _SHOWN} other kinds: faultinj campaign status --json {standing.db}"
    for told in standing.suppressed:
        yield f"suppressed: {told.kind}: {told.trial} ({told.suppressed})"
    for rule in standing.rules:
        yield f"suppression of {rule}"
    if standing.never_reached and not standing.resume:
        yield f"never reached: {', '.join(standing.never_reached)}"
    done = sum(cell.done for cell in standing.cells)
    left = "" if standing.left_seconds is None or not standing.resume else f", about {age(standing.left_seconds)} left"
    of = f" of about {standing.expected_trials}" if standing.resume else ""
    injected = sum(row.injected > 0 for row in standing.points)
    yield (
        f"{standing.name}: {standing.state}: {standing.trials}{of} trials in {done} of {len(standing.cells)} cells, "
        f"{standing.injected} injected, {injected} of {len(standing.points)} points, "
        f"{len(standing.findings)} findings, {age(standing.seconds)}{left}"
    )
    for reason in standing.gate:
        yield f"gate: {reason}"
    if standing.passed:
        yield "gate: passed"
    if standing.resume:
        yield f"go on with: {standing.resume}"


def _alike(findings: Iterable[Told]) -> list[tuple[Told, int]]:
    """Findings that differ in their numbers only are one: its first, and how many there are."""
    groups: dict[tuple[str, str], list[Told]] = {}
    for told in findings:
        groups.setdefault((told.kind, re.sub(r"[0-9]+", "0", told.detail)), []).append(told)
    return [(group[0], len(group)) for group in groups.values()]
