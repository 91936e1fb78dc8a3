"""`workloads demo`: the main job in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workloads.cli.acts import faults, locks
from workloads.cli.outcome import carry_out, leave, save_page, show_act, show_json, show_result
from workloads.cli.run import CPUS_MOST
from workloads.records import DemoResult, Settings
from workloads.report.demo_page import demo_page

PAGE = Path("out/report.html")
LOCK_PAGE = "lock-order.html"
FAULT_PAGE = "faults.html"
FORWARD = "The same frames, forwarded as mbufs: prepended, pulled up, split, and freed by another process"
LEAK = "A server that does not free some of its replies: which process, and which line?"


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
    it held is recovered, and a new process takes its place. Then the same frames are forwarded as mbufs for a third of
    that time, up to the table of netstat -m; for a sixth of it one process leaks, until `who` names it and its line;
    and witness tells of a lock held where memory may be waited for, and of two processes that take two locks in
    opposite order. At last everything that can fail in a few operations is made to fail, one place after the other.
    The lock-order page and the coverage page are written beside the report. Exit status 1 when anything else was found.
    """
    replay = carry_out(Settings(workload="packets", cpus=cpus, seconds=seconds, seed=seed, pcap=pcap, kills=kills))
    if not as_json:
        show_result(replay)
    forward = carry_out(Settings(workload="forward", cpus=cpus, seconds=act_s(seconds, 3), seed=seed, pcap=pcap))
    if not as_json:
        show_act(forward, FORWARD, netstat=True)
    leak = carry_out(Settings(workload="nfsleak", cpus=cpus, seconds=act_s(seconds, 6), seed=seed))
    if not as_json:
        show_act(leak, LEAK, netstat=False)
    held = locks.perform(act_s(seconds, 6), seed, html.with_name(LOCK_PAGE), quiet=as_json)
    injected = faults.perform(seed, html.with_name(FAULT_PAGE), quiet=as_json)
    ok = replay.ok and forward.ok and leak.ok and held.ok and injected.ok
    demo = DemoResult(replay=replay, forward=forward, leak=leak, locks=held, faults=injected, ok=ok)
    save_page(demo_page(demo), html)
    if as_json:
        show_json(demo)
    else:
        typer.echo(f"lock order: {held.page}")
        typer.echo(f"fault coverage: {injected.page}")
        typer.echo(f"report: {html}")
    leave(demo)


def act_s(seconds: float, part: int) -> float:
    """How long an act takes that gets a part of the replay's time: enough to see something, and never a minute."""
    return min(max(0.5, round(seconds / part, 1)), 20.0)
