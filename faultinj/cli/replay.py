"""`faultinj replay`: one trial again, with all there is to know about it."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from faultinj.cli.wrong import usage
from faultinj.record import Outcome
from faultinj.sweep import ScenarioError, load, run_trial
from faultinj.sweep.trial_id import TrialIdError, parse_trial
from shmalloc.cli.screen import printable, say

__all__ = ["replay"]


def replay(
    trial: Annotated[str, typer.Argument(metavar="ID", help="As a finding names it: zone.alloc/transient/3.")],
    modules: Annotated[
        list[str] | None,
        typer.Option("--scenarios", metavar="MODULE", help="A module with more scenarios.", show_default=False),
    ] = None,
    oracles: Annotated[
        str | None, typer.Option("--oracles", metavar="LIST", help="Further oracles to ask, with commas; all without.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Run one trial again: what was injected, where the program was, what the oracle found.

    Exit status 1 when it has a finding, 2 when there is no such trial.
    """
    try:
        load(modules or ())
        outcome = run_trial(
            parse_trial(trial), oracles=None if oracles is None else [word for word in oracles.split(",") if word]
        )
    except (ScenarioError, TrialIdError, LookupError) as error:
        usage(str(error))
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    else:
        _tell(outcome)
    if outcome.findings:
        raise typer.Exit(1)


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
