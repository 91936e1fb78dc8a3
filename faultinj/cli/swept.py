"""What `faultinj run --sweep` and `--trial` do with what was typed: the runs, their table, the findings, the status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple, cast, get_args

from faultinj.cli.screen import complain, usage, write_json
from faultinj.plan import UnknownPoint
from faultinj.record import Outcome, SweepResult
from faultinj.run.command import title_of
from faultinj.run.sweeping import DirtyProgram, ProgramSweep, Swept
from shmalloc.cli.screen import printable
from shmalloc.report.table import Column, Table, to_text

__all__ = ["Wanted", "swept"]


class Wanted(NamedTuple):
    """What was typed."""

    command: list[str]
    trial: str | None
    points: str
    kinds: str
    ok: str
    limit: int
    timeout: float
    watch: tuple[Path, ...]
    json_file: Path | None


def swept(wanted: Wanted) -> int:
    """Sweep the program, or run one trial again. Returns: the exit status."""
    sweep = ProgramSweep(
        command=wanted.command,
        title=title_of(wanted.command),
        points=wanted.points,
        kinds=_kinds(wanted.kinds),
        ok=_statuses(wanted.ok),
        limit=wanted.limit,
        timeout=wanted.timeout,
        watch=wanted.watch,
    )
    for directory in wanted.watch:
        if not directory.is_dir():
            usage(f"--watch {directory}: there is no such directory")
    try:
        if wanted.trial is not None:
            return _again(sweep, wanted.trial)
        sweep.told = _tell
        result = sweep.run()
    except DirtyProgram as error:
        complain(str(error))
        return 1
    except UnknownPoint as error:
        usage(str(error))
    _report(result)
    if wanted.json_file is not None:
        write_json(wanted.json_file, result)
    return int(bool(result.findings or result.empty))


def _kinds(text: str) -> tuple[Swept, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in get_args(Swept):
            usage(f"a program has no sweep {word!r}: {', '.join(get_args(Swept))}")
    if not words:
        usage(f"--kinds: at least one of {', '.join(get_args(Swept))}")
    return cast(tuple[Swept, ...], tuple(dict.fromkeys(words)))


def _statuses(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError:
        usage(f"--ok {text}: expected numbers with commas between them, such as 1,3")


def _again(sweep: ProgramSweep, trial: str) -> int:
    kind, _, number = trial.partition("/")
    if kind not in get_args(Swept) or not number.isdigit() or int(number) < 1:
        usage(f"--trial {trial}: expected KIND/N, such as transient/3")
    sweep.count()
    outcome = sweep.trial(cast(Swept, kind), int(number))
    for one in outcome.injected:
        complain(f"injected {one.point} (number {one.sequence}) in process {one.pid}")
    for finding in outcome.findings:
        complain(f"{finding.kind}: {finding.detail}")
        _said(finding.stack)
    if not outcome.injected:
        complain("a run that injected nothing proves nothing")
    elif not outcome.findings:
        complain(f"{trial}: clean; it ended with {outcome.result}")
    return int(bool(outcome.findings) or not outcome.injected)


def _tell(outcome: Outcome) -> None:
    for finding in outcome.findings:
        complain(f"{outcome.trial.id}: {finding.kind}: {finding.detail}")
        _said(finding.stack)


def _said(lines: tuple[str, ...]) -> None:
    sys.stderr.writelines(f"    {printable(line)}\n" for line in lines)


def _report(result: SweepResult) -> None:
    heads = ("reached", "injected", "success", "error", "findings")
    rows = tuple(
        (row.point, *map(str, (row.reached, row.injected, row.success, row.clean_error, row.findings)))
        for row in result.points
    )
    table = Table(
        "points", (Column("point", number=False), *(Column(head) for head in heads)), rows, "no point was reached"
    )
    for line in to_text(table).splitlines():
        complain(line)
    for cell in result.cells:
        if not cell.exhausted:
            complain(f"not exhausted: {cell.kind}, after {cell.trials} runs")
    if result.empty:
        complain("nothing was ever injected: a sweep that injected nothing proves nothing")
    complain(
        f"{result.trials} runs, {result.injected} with a fault, {len(result.findings)} findings, {result.seconds:.1f} s"
    )
