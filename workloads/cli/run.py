"""`workloads run`: one workload, N processes, S seconds."""

from __future__ import annotations

import secrets
import shlex
from pathlib import Path
from typing import Annotated

import psutil
import typer

from witness.record import to_json
from workloads import registry
from workloads.cli.outcome import USAGE, carry_out, complain, leave, save_page, show_json, show_result
from workloads.records import SABOTAGES, Sabotage, Settings
from workloads.report.run_page import run_page

CPUS_MOST = 56


def sabotage_named(name: str) -> Sabotage:
    """The kind of damage of a name. Raises: typer.BadParameter."""
    for known in SABOTAGES:
        if name == known:
            return known
    raise typer.BadParameter(f"{name!r} is none of {', '.join(SABOTAGES)}", param_hint="--sabotage")


def replay(settings: Settings) -> str:
    """The command that does a run again."""
    words = ["workloads", "run", settings.workload, "--cpus", str(settings.cpus), "--seconds", f"{settings.seconds:g}"]
    words += ["--seed", str(settings.seed)]
    if settings.pcap is not None:
        words += ["--pcap", settings.pcap]
    if settings.sabotage != "none":
        words += ["--sabotage", settings.sabotage]
    if settings.witness:
        words.append("--witness")
    if settings.failure_rate:
        words += ["--failure-rate", str(settings.failure_rate)]
    return shlex.join(words)


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which workload: `workloads list` names them.")],
    cpus: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=CPUS_MOST,
            metavar="N",
            help="Processes; without, the available cores, or what the workload wants.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=86400, metavar="S", help="How long to work.")] = 5.0,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Where randomness starts; a new one without.", show_default=False),
    ] = None,
    pcap: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Replay this pcap or pcapng (packets, forward).", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page.", show_default=False)] = None,
    sabotage: Annotated[
        str,
        typer.Option(metavar="KIND", help=f"Damage on purpose, to see it found: {', '.join(SABOTAGES[1:])}."),
    ] = "none",
    failure_rate: Annotated[
        int,
        typer.Option(
            min=0,
            max=1_000_000_000,
            metavar="N",
            help="Make every N-th M_NOWAIT allocation of each process fail (debug.malloc.failure_rate); 0: none.",
        ),
    ] = 0,
    witness: Annotated[
        bool, typer.Option("--witness", help="Watch the order of all locks; what is found is a finding of the run.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --witness: write the graph, for `witness report`.", show_default=False),
    ] = None,
    grace: Annotated[
        float, typer.Option(min=0.5, max=600, metavar="S", help="How long a silent process is waited for.")
    ] = 20.0,
) -> None:
    """Run one workload; exit status 1 when anything was found.

    Every item is sealed with a cookie and verified on receipt and on free; at the end every invariant is checked and
    what is still used is counted as leaked.
    """
    if name not in registry.WORKLOADS:
        complain(str(registry.UnknownWorkload(name)))
        raise typer.Exit(USAGE)
    if pcap is not None and not registry.WORKLOADS[name].replays:
        able = " and ".join(kind.name for kind in registry.WORKLOADS.values() if kind.replays)
        raise typer.BadParameter(f"{name} replays nothing; {able} do", param_hint="--pcap")
    if sabotage == "reverse" and not witness:
        raise typer.BadParameter("only witness sees a reversed order: add --witness", param_hint="--sabotage")
    if record is not None and not witness:
        raise typer.BadParameter("there is a graph only with --witness", param_hint="--record")
    usual = registry.WORKLOADS[name].cpus_default or len(psutil.Process().cpu_affinity())
    settings = Settings(
        workload=name,
        cpus=cpus if cpus is not None else usual,
        seconds=seconds,
        seed=seed if seed is not None else secrets.randbelow(2**32),
        pcap=pcap,
        sabotage=sabotage_named(sabotage),
        witness=witness,
        failure_rate=failure_rate,
        grace_s=grace,
    )
    result = carry_out(settings)
    if html is not None:
        save_page(run_page(result), html)
    if record is not None and result.witness is not None:
        save_page(to_json(result.witness.graph).decode(), record)
    if as_json:
        show_json(result)
    else:
        show_result(result)
        if html is not None:
            typer.echo(f"page: {html}")
        if not result.ok:
            complain(f"again with: {replay(settings)}")
    leave(result)
