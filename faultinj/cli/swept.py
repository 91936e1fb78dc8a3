"""What `faultinj run --sweep` and `--trial` do with what was typed: the runs, their table, the findings, the status."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import NamedTuple, cast, get_args

from faultinj.cli.screen import complain, usage, write_json
from faultinj.grammar import GrammarError
from faultinj.plan import PlanError, UnknownPoint
from faultinj.record import Outcome, SweepResult
from faultinj.run.command import CommandError, command_of, title_of
from faultinj.run.oracle import ABORTED
from faultinj.run.sweeping import ProgramSweep
from faultinj.run.trials import DirtyProgram, Settings, Swept
from shmalloc.cli.screen import printable
from shmalloc.report.table import Column, Table, to_text

__all__ = ["Wanted", "swept"]


class Wanted(NamedTuple):
    """What was typed."""

    command: list[str]
    trial: str | None
    points: tuple[str, ...]
    kinds: str
    ok: str
    limit: int
    timeout: float
    watch: tuple[Path, ...]
    scratch: Path | None
    check: str | None
    json_file: Path | None


def swept(wanted: Wanted) -> int:
    """Sweep the program, or run one trial again. Returns: the exit status."""
    for option, directory in [("--watch", path) for path in wanted.watch] + [("--scratch", wanted.scratch)]:
        if directory is not None and not directory.is_dir():
            usage(f"{option} {directory}: there is no such directory")
    sweep = ProgramSweep(_settings(wanted), wanted.points, _kinds(wanted.kinds), wanted.limit)
    aborted: list[Outcome] = []
    try:
        if wanted.trial is not None:
            return _again(sweep, wanted.trial)

        def tell(outcome: Outcome) -> None:
            _tell(outcome)
            if outcome.result == ABORTED:
                aborted.append(outcome)

        sweep.told = tell
        result = sweep.run()
    except DirtyProgram as error:
        complain(str(error))
        return 1
    except (UnknownPoint, PlanError, GrammarError) as error:
        usage(str(error))
    _report(result)
    if aborted:
        first = aborted[0]
        complain(
            f"{len(aborted)} runs: the interpreter aborted itself, because it had no memory to go on with: not the"
            f" program's fault; the first: {first.trial.kind} n = {first.trial.n}"
        )
    if wanted.json_file is not None:
        write_json(wanted.json_file, result)
    return int(bool(result.findings or result.empty))


def _settings(wanted: Wanted) -> Settings:
    command, check = wanted.command, tuple[str, ...]()
    if wanted.scratch is not None:
        command = _from_anywhere(command)
    try:
        check = tuple(_from_anywhere(command_of(shlex.split(wanted.check)))) if wanted.check else ()
    except (CommandError, ValueError) as error:
        usage(f"--check {wanted.check}: {error}")
    return Settings(
        command=command,
        title=title_of(wanted.command),
        ok=_statuses(wanted.ok),
        timeout=wanted.timeout,
        watch=wanted.watch,
        scratch=wanted.scratch,
        check=check,
    )


def _from_anywhere(command: list[str]) -> list[str]:
    """The command with the path of its script, or of its program, in full: it runs in another directory."""
    words = list(command)
    for place, word in enumerate(words[:2]):
        if os.path.isfile(word) and (place == 0 or words[0] == sys.executable):
            words[place] = os.path.abspath(word)
    return words


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
        _said((*finding.stack, f"again: {outcome.again}"))


def _said(lines: tuple[str, ...]) -> None:
    sys.stderr.writelines(f"    {printable(line)}\n" for line in lines)


def _report(result: SweepResult) -> None:
    heads = ("reached", "injected", "success", "error", "killed", "findings")
    rows = tuple(
        (row.point, *map(str, (row.reached, row.injected, row.success, row.clean_error, row.killed, row.findings)))
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
