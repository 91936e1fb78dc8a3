"""`faultinj replay`: one trial again, with all there is to know about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from faultinj.campaign.driver import SWEEP, load_driver
from faultinj.campaign.regression import RegressionFails, check_regression, read_regression, save_regression
from faultinj.campaign.spec import near
from faultinj.campaign.store import Store
from faultinj.cli.guard import guarded
from faultinj.cli.here import look_here
from faultinj.cli.wrong import complain, usage
from faultinj.declared import all_points
from faultinj.grammar import parse_plan
from faultinj.plan import CRASH_POINT, UnknownPoint, matching
from faultinj.record import Outcome, Trial
from faultinj.sweep import ScenarioError, load, run_trial
from faultinj.sweep.oracle import companions
from faultinj.trial_id import TrialIdError, parse_trial
from shmalloc.cli.screen import printable, say

__all__ = ["replay"]


@guarded
def replay(
    trial: Annotated[
        str,
        typer.Argument(metavar="ID", help="As a finding names it, zone.alloc/transient/3; or a regression file."),
    ],
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--scenarios", "--import", metavar="MODULE", help="A module with more scenarios.", show_default=False
        ),
    ] = None,
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
    oracles: Annotated[
        str | None, typer.Option("--oracles", metavar="LIST", help="Further oracles to ask, with commas; all without.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    driver: Annotated[str, typer.Option(hidden=True)] = SWEEP,
) -> None:
    """Run one trial again: what was injected, where the program was, what the oracle found.

    With --db its outcome is compared with the one that a campaign wrote down. `faultinj campaign shrink` makes it
    smaller. Exit status 1 when it has a finding, when nothing was injected, or when what a regression file expects does
    not hold; 2 when there is no such trial.
    """
    look_here(modules or ())
    if trial.endswith(".toml"):
        _regression(Path(trial), driver, as_json=as_json)
        return
    try:
        if driver == SWEEP:
            load(modules or ())
            wanted = _sensible(parse_trial(trial))
            asked = None if oracles is None else [word for word in oracles.split(",") if word]
            companions(asked)
            outcome = run_trial(wanted, oracles=asked)
        else:
            trials, wanted = load_driver(driver, modules or ()), parse_trial(trial)
            if wanted.scenario not in trials.scenario_names():
                usage(f"there is no scenario {wanted.scenario!r}; {near(wanted.scenario, trials.scenario_names())}")
            outcome = trials.run_trial(wanted)
    except (ScenarioError, TrialIdError, LookupError) as error:
        usage(str(error))
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    else:
        _tell(outcome)
    if db is not None:
        _compare(outcome, db)
    if save is not None:
        save_regression(save, outcome, about=about, imports=tuple(modules or ()))
    if outcome.verdict == "nothing injected":
        complain(
            f"nothing was injected, which proves nothing: fewer than {outcome.trial.n} places are reached, or none that"
            " the trial chooses"
        )
    if outcome.findings or outcome.verdict == "nothing injected":
        raise typer.Exit(1)


def _regression(path: Path, driver: str, *, as_json: bool) -> None:
    regression = read_regression(path)
    look_here(regression.imports)
    trials = load_driver(driver, regression.imports)
    if driver == SWEEP:
        _sensible(regression.trial)
    try:
        outcome = check_regression(regression, trials.run_trial)
    except ScenarioError as error:
        usage(f"{path}: {error}")
    except RegressionFails as failed:
        complain(str(failed))
        raise typer.Exit(1) from failed
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    else:
        say(printable(f"{regression.trial.id}: {regression.expect}, as expected ({regression.about})"))


def _sensible(trial: Trial) -> Trial:
    """The trial; one whose points or program nobody can read ends the command before anything runs.

    Raises: UnknownPoint, GrammarError.
    """
    known = (*(point.name for point in all_points()), CRASH_POINT)
    if not matching(trial.points, known):
        raise UnknownPoint(trial.points, known)
    parse_plan(trial.program or "")
    return trial


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


def _tell(outcome: Outcome) -> None:
    say(f"trial     {outcome.trial.id}")
    say(f"verdict   {outcome.verdict}")
    say(f"ended     {outcome.result}, after {outcome.seconds * 1e3:.1f} ms")
    for injection in outcome.injected:
        where = f"the {injection.sequence}. reached"
        subject = f", of {injection.subject}" if injection.subject else ""
        size = f", {injection.bytes} bytes" if injection.bytes else ""
        step = f", step {injection.step:#x}" if injection.step else ""
        text = f"{injection.point}: {injection.action}, {where}{subject}{size}{step}, in process {injection.pid}"
        say(printable(f"injected  {text}"))
    for line in outcome.stack:
        say(printable(f"at        {line}"))
    for name, count in outcome.reached.items():
        say(printable(f"reached   {name} {count} times"))
    for finding in outcome.findings:
        say(printable(f"finding   {finding.kind}: {finding.detail}"))
        for line in finding.stack:
            say(printable(f"          {line}"))
