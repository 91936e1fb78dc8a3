"""Where a campaign stands, judged: what `faultinj campaign run` and `status` say, as one record. Prints nothing."""

from __future__ import annotations

import datetime
import shlex

import msgspec

from faultinj.campaign.forecast import forecast
from faultinj.campaign.gate import judge_gate, sift
from faultinj.campaign.result import result_of
from faultinj.campaign.state import CellState, Run
from faultinj.campaign.store import Store
from faultinj.record import Coverage, Finding, Outcome
from faultinj.trial_id import replay_command

__all__ = ["Standing", "Told", "standing_of"]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of a trial, and the command that shows it again. `suppressed`: the reason of the rule, None: it
    counts."""

    trial: str
    kind: str
    detail: str
    replay: str
    suppressed: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as it is. `state`: "done", "running", or how its last run ended, "killed" when nobody wrote that down.

    `points`: coverage; `gate`: what it has against the campaign; `passed`: nothing, and it is done. `rules`:
    suppressions that have expired or match nothing. `left_seconds`: with the last run's pace, None when unknown.
    `resume`: the command.
    """

    name: str
    db: str
    state: str
    started: str
    version: str
    seconds: float
    trials: int
    expected_trials: int
    left_seconds: float | None
    injected: int
    findings: tuple[Told, ...]
    suppressed: tuple[Told, ...]
    rules: tuple[str, ...]
    cells: tuple[CellState, ...]
    points: tuple[Coverage, ...]
    never_reached: tuple[str, ...]
    argued: dict[str, str]
    empty: tuple[str, ...]
    gate: tuple[str, ...]
    passed: bool
    runs: tuple[Run, ...]
    resume: str | None


def standing_of(store: Store, *, file: str | None = None, today: datetime.date | None = None) -> Standing:
    """Judge a campaign by its store. `file`: its campaign file, for the command that resumes it."""
    result, campaign = result_of(store), store.campaign
    cells, runs = store.cells(), store.runs()
    sifted = sift(result.outcomes, campaign.suppress, today=today or datetime.date.today())
    unfinished = sum(not cell.done for cell in cells)
    gate = judge_gate(campaign.gate, result, len(sifted.kept), unfinished)
    gate += tuple(
        f"{_cell(cell)} was given up: too many of its runs hung or crashed" for cell in cells if cell.given_up
    )
    worked = sum(cell.seconds for cell in cells)
    ahead = forecast(cells, pace=result.seconds / worked if worked else 1.0)
    rules = [f"line {rule.line}: expired on {rule.expires}: {rule.reason}" for rule in sifted.expired]
    if not unfinished:
        rules += [f"line {rule.line}: matched nothing, take it out: {rule.reason}" for rule in sifted.unused]
    return Standing(
        name=campaign.campaign.name,
        db=str(store.path),
        state=_state(runs, unfinished),
        started=store.started,
        version=store.version,
        seconds=result.seconds,
        trials=result.trials,
        expected_trials=ahead.trials,
        left_seconds=ahead.seconds,
        injected=result.injected,
        findings=tuple(_told(outcome, finding) for outcome, finding in sifted.kept),
        suppressed=tuple(_told(outcome, finding, rule.reason) for outcome, finding, rule in sifted.suppressed),
        rules=tuple(rules),
        cells=cells,
        points=result.points,
        never_reached=result.never_reached,
        argued=result.argued,
        empty=result.empty,
        gate=gate,
        passed=not gate and not unfinished,
        runs=runs,
        resume=resume_command(file or campaign.campaign.name, str(store.path)) if unfinished else None,
    )


def resume_command(file: str, db: str) -> str:
    """The command that goes on with a campaign."""
    return f"faultinj campaign run {shlex.quote(file)} --db {shlex.quote(db)} --resume"


def _state(runs: tuple[Run, ...], unfinished: int) -> str:
    if not unfinished:
        return "done"
    if not runs:
        return "not begun"
    return runs[-1].ended or ("running" if runs[-1].alive else "killed")


def _cell(cell: CellState) -> str:
    return f"{cell.scenario}/{cell.kind}"


def _told(outcome: Outcome, finding: Finding, reason: str | None = None) -> Told:
    return Told(
        trial=outcome.trial.id,
        kind=finding.kind,
        detail=finding.detail,
        replay=replay_command(outcome.trial),
        suppressed=reason,
    )
