"""`faultinj replay`: one trial again, by its id or its regression file, with all there is to know about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from faultinj.campaign.driver import SWEEP, Driver, load_driver
from faultinj.campaign.identity import NoTrial, trial_of
from faultinj.campaign.regression import RegressionFails, check_regression, read_regression, save_regression
from faultinj.campaign.spec import near
from faultinj.campaign.store import Store
from faultinj.cli.campaign_screen import complain
from faultinj.cli.guard import guarded
from faultinj.record import Injection, Outcome, Trial
from shmalloc.cli.screen import say, show_json, show_lines

__all__ = ["replay"]


@guarded
def replay(
    what: Annotated[str, typer.Argument(metavar="ID", help="A trial, as a finding names it, or a regression file.")],
    db: Annotated[
        Path | None,
        typer.Option("--db", metavar="DB", help="A campaign's database, to compare with.", show_default=False),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Keep it as a regression file, or in a directory.", show_default=False),
    ] = None,
    about: Annotated[
        str, typer.Option(metavar="TEXT", help="What the regression file says it is.", show_default=False)
    ] = "",
    imports: Annotated[
        list[str] | None, typer.Option("--import", metavar="MODULE", help="Declares the scenario.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON object.")] = False,
    driver: Annotated[str, typer.Option(hidden=True)] = SWEEP,
) -> None:
    """Run one trial again.

    With --db its outcome is compared with the one that the campaign wrote down. `faultinj campaign shrink` makes it
    smaller. Exit status 1: it found something, or a regression file's expectation does not hold.
    """
    if what.endswith(".toml"):
        _regression(Path(what), driver, as_json=as_json)
        return
    trial = trial_of(what)
    trials = load_driver(driver, imports or ())
    _known(trial, trials)
    outcome = trials.run_trial(trial)
    if as_json:
        show_json(msgspec.to_builtins(outcome))
    else:
        show_lines(_lines(outcome))
    if db is not None:
        _compare(outcome, db)
    if save is not None:
        save_regression(save, outcome, about=about, imports=tuple(imports or ()))
    raise typer.Exit(1 if outcome.findings else 0)


def _regression(path: Path, driver: str, *, as_json: bool) -> None:
    regression = read_regression(path)
    trials = load_driver(driver, regression.imports)
    _known(regression.trial, trials)
    try:
        outcome = check_regression(regression, trials.run_trial)
    except RegressionFails as failed:
        complain(str(failed))
        raise typer.Exit(1) from failed
    if as_json:
        show_json(msgspec.to_builtins(outcome))
    else:
        say(f"{regression.trial.id}: {regression.expect}, as expected ({regression.about})")


def _known(trial: Trial, trials: Driver) -> None:
    names = trials.scenario_names()
    if trial.scenario not in names:
        raise NoTrial(trial.id, f"no scenario is called {trial.scenario!r}; {near(trial.scenario, names)}")


def _lines(outcome: Outcome) -> Iterator[str]:
    yield f"{outcome.trial.id}: {outcome.verdict}; it ended with {outcome.result} after {outcome.seconds * 1000:.1f} ms"
    for one in outcome.injected:
        yield f"injected: {_injected(one)}"
    if not outcome.injected:
        yield f"injected: nothing; it reached {sum(outcome.reached.values())} points"
    for finding in outcome.findings:
        yield f"{finding.kind}: {finding.detail}"
        yield from (f"    {frame}" for frame in finding.stack)


def _injected(one: Injection) -> str:
    subject = f" of {one.subject}" if one.subject else ""
    size = f", {one.bytes} bytes" if one.bytes else ""
    step = f", at step {one.step:#x}" if one.step is not None else ""
    return f"{one.action} at {one.point}{subject} (reached as number {one.sequence}{size}{step}) in process {one.pid}"


def _compare(outcome: Outcome, db: Path) -> None:
    """Say on stderr how the outcome differs from the one in a database."""
    with Store.open(db) as store:
        before = store.outcome(outcome.trial.id)
    if before is None:
        complain(f"{db} has no trial {outcome.trial.id}")
    elif (before.verdict, before.result, _kinds(before)) == (outcome.verdict, outcome.result, _kinds(outcome)):
        complain(f"as in {db}")
    else:
        complain(f"in {db} it was: {before.verdict}, {before.result}, {', '.join(_kinds(before)) or 'no findings'}")


def _kinds(outcome: Outcome) -> list[str]:
    return sorted(finding.kind for finding in outcome.findings)
