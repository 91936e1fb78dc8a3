"""`faultinj campaign`: run, status, list, shrink. Reads arguments, calls `faultinj.campaign`, prints; decides nothing
else.

Exit status: 0 the gate is passed (or a run reached its limit of seconds with nothing against it), 1 it is not, 2 the
command or a file was wrong, 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from faultinj.campaign.begin import open_campaign
from faultinj.campaign.driver import SWEEP, load_driver
from faultinj.campaign.engines import EngineGone
from faultinj.campaign.regression import save_regression
from faultinj.campaign.run import ChunkFails, run_campaign
from faultinj.campaign.shipped import STORE_SUFFIX, campaign_file, shipped, stores_in
from faultinj.campaign.shrink import Step, shrink
from faultinj.campaign.standing import Standing, resume_command, standing_of
from faultinj.campaign.state import StoreFails, StoreUnreadable
from faultinj.campaign.store import Store
from faultinj.cli.campaign_screen import complain, progress_bar, standing_lines
from faultinj.cli.guard import guarded
from faultinj.cli.here import look_here
from faultinj.trial_id import parse_trial
from shmalloc.cli.screen import say, show_json, show_lines

__all__ = ["campaign"]

_INTERRUPTED = 130

campaign = typer.Typer(
    name="campaign",
    help="Run many fault trials from a file, over processes or machines, and resume them at any moment.",
    no_args_is_help=True,
)
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DbArgument = Annotated[Path, typer.Argument(metavar="DB", help="The campaign's database.", show_default=False)]


@campaign.command()
@guarded
def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A campaign file, or the name of a shipped one.")],
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE", help="local, processes:N or dask://host:port; else the file's.", show_default=False
        ),
    ] = None,
    db: Annotated[
        Path | None,
        typer.Option("--db", metavar="DB", help=f"Where results go; else NAME{STORE_SUFFIX}.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the database ends, if there is one.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what the database holds.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, metavar="S", help="End this run then; else the file's limit.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    driver: Annotated[str, typer.Option(hidden=True)] = SWEEP,
) -> None:
    """Run or resume a campaign.

    Ctrl-C ends it after the trials that are under way, and says how to go on; so does a limit of seconds. Whatever ends
    it, a kill too, what was done is kept, and --resume does the rest. Exit status 1: the campaign does not pass its
    gate.
    """
    if resume and fresh:
        raise typer.BadParameter("--resume and --fresh exclude each other")
    path = campaign_file(file)
    db = db or Path(f"{path.stem}{STORE_SUFFIX}")
    look_here([str(path)])
    with open_campaign(path, db, resume=resume, fresh=fresh, driver=driver) as store:
        file_says = store.campaign
        limit = seconds if seconds is not None else file_says.limits.seconds
        again = resume_command(file, str(db))
        with progress_bar(file_says.campaign.name, quiet=as_json) as bar:
            try:
                ended = run_campaign(
                    store, engine=engine or file_says.campaign.engine, driver=driver, seconds=limit, told=bar
                )
            except KeyboardInterrupt:
                complain(f"stopped at once; go on with: {again}")
                raise typer.Exit(_INTERRUPTED) from None
            except (EngineGone, ChunkFails, StoreFails):
                complain(f"what was done is kept; go on with: {again}")
                raise
        standing = standing_of(store, file=file)
    _show(standing, as_json=as_json)
    if ended.how == "interrupted":
        complain(f"interrupted; go on with: {again}")
        raise typer.Exit(_INTERRUPTED)
    if ended.how == "limit" and standing.resume:
        complain(f"its {limit:g} s are over; go on with: {again}")
    raise typer.Exit(1 if standing.gate else 0)


@campaign.command()
@guarded
def status(db: DbArgument, as_json: JsonOption = False) -> None:
    """Show how far a campaign is, what it found, and what its gate says; also while it runs. Exit status 1: not
    passed."""
    with Store.open(db) as store:
        standing = standing_of(store)
    _show(standing, as_json=as_json)
    raise typer.Exit(1 if standing.gate else 0)


@campaign.command("list")
@guarded
def list_campaigns(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where databases lie.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """List the shipped campaign files, and the databases of a directory with their state."""
    standings = []
    for path in stores_in(directory):
        try:
            with Store.open(path) as store:
                standings.append(standing_of(store))
        except StoreUnreadable as error:
            complain(str(error))
    if as_json:
        show_json(
            {
                "shipped": {name: str(path) for name, path in shipped().items()},
                "campaigns": [_summary(standing) for standing in standings],
            }
        )
        return
    show_lines([f"shipped: {name}  (faultinj campaign run {name})" for name in shipped()])
    show_lines(
        f"{s.db}: {s.state}, {s.trials} of about {s.expected_trials} trials, {len(s.findings)} findings, "
        f"begun {s.started}"
        for s in standings
    )
    if not standings:
        say(f"no campaign was run in {directory.absolute()}")


@campaign.command("shrink")
@guarded
def shrink_trial(
    trial: Annotated[str, typer.Argument(metavar="ID", help="A trial, as a finding's command names it.")],
    finding: Annotated[
        str, typer.Option(metavar="KIND", help="The kind of finding to keep; else the first.", show_default=False)
    ] = "",
    most: Annotated[int, typer.Option(min=1, metavar="N", help="Trials to run at most.")] = 1000,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Keep the smallest as a regression file, or in a directory.", show_default=False
        ),
    ] = None,
    about: Annotated[
        str, typer.Option(metavar="TEXT", help="What the regression file says it is.", show_default=False)
    ] = "",
    imports: Annotated[
        list[str] | None, typer.Option("--import", metavar="MODULE", help="Declares the scenario.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    driver: Annotated[str, typer.Option(hidden=True)] = SWEEP,
) -> None:
    """Find the smallest trial that still shows a trial's finding. Exit status 1: the trial shows none."""
    modules = tuple(imports or ())
    look_here(modules)
    trials = load_driver(driver, modules)

    def told(step: Step) -> None:
        if not as_json:
            say(f"{'still there' if step.shows else 'gone       '}  {step.trial}  ({step.change})")

    shrunk = shrink(parse_trial(trial), trials.run_trial, finding=finding, most=most, told=told)
    if as_json:
        show_json(msgspec.to_builtins(shrunk))
    else:
        more = "" if shrunk.fixpoint else f"; {most} trials were not enough to try everything: raise --most"
        say(f"the smallest with {shrunk.finding}: {shrunk.trial.id}{more}")
    if save is not None:
        save_regression(save, shrunk.outcome, about=about, imports=modules)


def _show(standing: Standing, *, as_json: bool) -> None:
    if as_json:
        show_json(msgspec.to_builtins(standing))
    else:
        show_lines(standing_lines(standing))


def _summary(standing: Standing) -> dict[str, object]:
    whole = msgspec.to_builtins(standing)
    kept = ("name", "db", "state", "started", "trials", "expected_trials", "gate", "passed", "resume")
    return {key: whole[key] for key in kept} | {"findings": len(standing.findings)}
