"""A fault run as tables: the coverage matrix, the sweeps, the findings with the command that does each again."""

from __future__ import annotations

import os
import shlex

from faultinj.record import Coverage, Outcome
from faultinj.report.verdict import Verdict, state_of
from shmalloc.report.amounts import counted
from shmalloc.report.table import Column, Table

__all__ = ["cells_table", "findings_table", "matrix_table", "replay_command", "summary"]


def replay_command(outcome: Outcome) -> str:
    """The command that does this trial again, with its log, wherever it is typed."""
    if outcome.again:
        here = outcome.directory in ("", os.getcwd())
        return outcome.again if here else f"cd {shlex.quote(outcome.directory)} && {outcome.again}"
    return f"faultinj replay {shlex.quote(outcome.trial.id)}"


def summary(verdict: Verdict) -> str:
    """One line: trials, injections, coverage, findings."""
    result = verdict.result
    injected = sum(point.injected > 0 for point in verdict.reachable)
    rate = f", {result.trials / result.seconds:.0f} a second" if result.seconds > 0 else ""
    return (
        f"{result.trials} trials in {result.seconds:.1f} s{rate}; {result.injected} faults injected at "
        f"{injected} of {len(verdict.reachable)} points ({verdict.coverage:.1f} %); "
        f"{counted(len(result.findings), 'finding')}"
    )


def matrix_table(verdict: Verdict) -> Table:
    """Point against outcome."""
    argued = verdict.result.argued
    return Table(
        "Coverage",
        (
            Column("point", number=False),
            Column("fails with", number=False),
            Column("reached"),
            Column("injected"),
            Column("went on"),
            Column("clean error"),
            Column("killed"),
            Column("findings"),
            Column("state", number=False, give="wrap"),
        ),
        tuple(
            (
                row.point,
                row.error,
                *(
                    _number(count)
                    for count in (row.reached, row.injected, row.success, row.clean_error, row.killed, row.findings)
                ),
                _state(row, argued),
            )
            for row in verdict.result.points
        ),
        empty="no point is in the catalogue",
    )


def cells_table(verdict: Verdict) -> Table:
    """Scenario against kind: how many places were tried, and whether all were."""
    return Table(
        "Sweeps",
        (
            Column("scenario", number=False, give="cut"),
            Column("kind", number=False),
            Column("trials"),
            Column("injected"),
            Column("findings"),
            Column("seconds"),
            Column("", number=False),
        ),
        tuple(
            (
                cell.scenario,
                cell.kind,
                _number(cell.trials),
                _number(cell.injected),
                _number(cell.findings),
                f"{cell.seconds:.2f}",
                "every place" if cell.exhausted else "not to the end",
            )
            for cell in verdict.result.cells
        ),
        empty="nothing was run",
    )


def findings_table(verdict: Verdict) -> Table:
    """What was found, and how to see it again."""
    return Table(
        "Findings",
        (
            Column("kind", number=False),
            Column("what", number=False, give="wrap"),
            Column("again with", number=False, give="wrap"),
        ),
        tuple((finding.kind, finding.detail, replay_command(outcome)) for outcome, finding in verdict.found),
        empty="none",
    )


def _state(row: Coverage, argued: dict[str, str]) -> str:
    state = state_of(row, argued)
    return f"argued: {argued[row.point]}" if state == "argued" else state


def _number(count: int) -> str:
    return f"{count:,}" if count else "-"
