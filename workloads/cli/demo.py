"""`workloads demo`: the main job in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workloads.cli.outcome import carry_out, leave, save_page, show_json, show_result
from workloads.cli.run import CPUS_MOST
from workloads.records import Settings

PAGE = Path("out/report.html")


def demo(
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, metavar="S", help="How long to replay.")] = 12.0,
    cpus: Annotated[int, typer.Option(min=1, max=CPUS_MOST, metavar="N", help="Processes.")] = 4,
    seed: Annotated[int, typer.Option(min=0, metavar="K", help="Where randomness starts.")] = 1,
    pcap: Annotated[
        str | None, typer.Option(metavar="FILE", help="Replay this capture, not the bundled one.", show_default=False)
    ] = None,
    kills: Annotated[
        int, typer.Option(min=0, max=20, metavar="N", help="Workers killed with SIGKILL on the way, and replaced.")
    ] = 1,
    html: Annotated[Path, typer.Option(metavar="FILE", help="Where the page goes.")] = PAGE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay a real capture through one arena shared by four processes, and write a report.

    Each process takes in frames, hands every one to another process, and verifies and frees those it receives: no frame
    is freed where it was allocated. In the middle of the run one of them is killed with SIGKILL: the others go on, what
    it held is recovered, and a new process takes its place. Exit status 1 when anything was found.
    """
    result = carry_out(Settings(workload="packets", cpus=cpus, seconds=seconds, seed=seed, pcap=pcap, kills=kills))
    save_page(result, html)
    if as_json:
        show_json(result)
    else:
        show_result(result)
        typer.echo(f"report: {html}")
    leave(result)
