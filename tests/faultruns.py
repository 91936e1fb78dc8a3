"""Results of fault runs that tests of reports share: one with everything in it, and one that is as it should be."""

from faultinj.catalogue import points
from faultinj.record import Cell, Finding, Injection, Outcome, SweepResult, Trial
from faultinj.report.coverage import coverage

__all__ = ["clean_run", "outcome", "rich_run"]


def outcome(
    scenario: str,
    n: int,
    point: str | None,
    *,
    kind: str = "transient",
    result: str = "OutOfMemory",
    findings: tuple[Finding, ...] = (),
    reached: dict[str, int] | None = None,
) -> Outcome:
    """One trial that injected at this point, or nowhere."""
    fault = None if point is None else Injection(point=point, action="return", sequence=n, subject="frame", bytes=64)
    injected = () if fault is None else (fault,)
    return Outcome(
        trial=Trial(scenario=scenario, kind=kind, n=n),  # type: ignore[arg-type]
        verdict="finding" if findings else "clean" if injected else "nothing injected",
        result=result,
        injected=injected,
        findings=findings,
        reached=reached if reached is not None else {} if point is None else {point: 1},
        seconds=0.004,
    )


def _result(outcomes: list[Outcome], **more: object) -> SweepResult:
    cells = {}
    for one in outcomes:
        key = one.trial.scenario, one.trial.kind
        known = cells.get(key, (0, 0, 0, False))
        cells[key] = (
            known[0] + 1,
            known[1] + len(one.injected),
            known[2] + len(one.findings),
            known[3] or not one.injected,
        )
    base: dict[str, object] = {
        "program": "shmalloc",
        "version": "0.1.0",
        "started": "2026-11-22T20:00:00+00:00",
        "seconds": 0.5,
        "seed": 7,
        "trials": len(outcomes),
        "injected": sum(len(one.injected) for one in outcomes),
        "findings": tuple(finding for one in outcomes for finding in one.findings),
        "never_reached": (),
        "empty": (),
        "argued": {},
        "points": coverage(outcomes, points()),
        "cells": tuple(
            Cell(scenario=name, kind=kind, trials=t, injected=i, exhausted=done, findings=f, seconds=0.1)
            for (name, kind), (t, i, f, done) in cells.items()
        ),
        "outcomes": tuple(outcomes),
    }
    return SweepResult(**(base | more))  # type: ignore[arg-type]


def rich_run() -> SweepResult:
    """A run with findings, a point argued away, points never reached, and a scenario in which nothing failed."""
    leak = Finding(
        kind="leak",
        detail="zone frame: 3 items are out that nobody holds </script><b>",
        stack=("shmalloc/zone.py:120 alloc", "app/<string>:7 main"),
    )
    hang = Finding(kind="hang", detail="did not end within 10 s")
    return _result(
        [
            outcome("zone.alloc", 1, "zone.ctor", result="CtorFailed"),
            outcome("zone.alloc", 2, "page.supply"),
            outcome("zone.alloc", 3, "zone.ctor", findings=(leak,)),
            outcome("zone.alloc", 4, None, result="success", reached={"zone.ctor": 3, "keg.init": 2}),
            outcome("zone.alloc", 1, "crash point", kind="kill", result="killed"),
            outcome("queue.put", 1, "queue.put", kind="persistent", result="success", findings=(hang,)),
            outcome("stats", 1, None, result="success"),
        ],
        empty=("stats",),
        argued={"cpu.membarrier": "this kernel has it"},
        never_reached=("mac.init",),
    )


def clean_run() -> SweepResult:
    """A run in which every point was injected and nothing found."""
    outcomes = [outcome("everything", n, point.name) for n, point in enumerate(points(), 1)]
    return _result([*outcomes, outcome("everything", len(outcomes) + 1, None, result="success")])
