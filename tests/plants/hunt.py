"""Plants each fault of faults.toml in a copy of the tree and has the sweep look for it.

`python -m plants.hunt [NAME ...] [--whole] [--jobs N] [--json FILE]`, with tests/ on the path. A fault counts as found
when a sweep of its scenarios has the expected finding, shrinking comes to a smallest trial, `faultinj replay` of that
trial shows it again, and in a copy without the fault the same trial injects its fault and is clean. Exit status 1: one
of them was not found so. Owns the judgement; the copies are tree.py's.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from faultinj.campaign.shrink import Shrunk
from faultinj.record import Finding, Outcome, SweepResult
from plants.table import Fault, read_faults
from plants.tree import BuildFails, Tree

__all__ = ["Found", "Missed", "Run", "hunt", "main"]

_SWEEP_S = 1800.0
_TRIAL_S = 900.0

Run = Callable[[Sequence[str], float], tuple[int, str, str]]
"""Runs `faultinj ARGUMENTS` for at most so many seconds. Returns: status, standard output, standard error."""


class Missed(AssertionError):
    """A planted fault was not found, not shrunk, not shown again, or something is found where none is planted."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """How a fault was found. `first`: the trial that met it; `trials`: of the whole sweep; `smallest`: after shrinking
    in `steps` trials; `detail`: what the smallest one's finding says; `findings`: of the sweep, of all kinds."""

    fault: str
    finding: str
    first: str
    trials: int
    findings: int
    smallest: str
    steps: int
    detail: str
    seconds: float


def hunt(fault: Fault, planted: Run, clean: Run, folder: Path, *, whole: bool = False, jobs: int = 2) -> Found:
    """Look for one fault that `planted` has and `clean` has not.

    Parameters: folder: for files of the commands; whole: sweep all scenarios, not only the fault's own.
    Raises: Missed: which step did not come to what it should.
    """
    start = time.perf_counter()
    swept = _sweep(fault, planted, folder / "sweep.json", whole=whole, jobs=jobs)
    # A scenario that comes by the mistake without any fault shows it in every trial: that is no finding of a fault.
    always = {o.trial.scenario for o in swept.outcomes if not o.injected}
    shown = [o for o in swept.outcomes if o.trial.scenario not in always and any(_is(f, fault) for f in o.findings)]
    if not shown:
        other = sorted({finding.kind for finding in swept.findings}) or ["nothing"]
        raise Missed(f"{fault.name}: {swept.trials} trials, no {fault.expect!r} among the findings: {', '.join(other)}")
    first = min(shown, key=lambda o: (bool(o.trial.n2), o.trial.n))
    shrunk = _shrink(fault, planted, first.trial.id)
    again = _replay(fault, planted, shrunk.trial.id, status=1)
    [detail, *_] = [f.detail for f in again.findings if f.kind == fault.expect] or [""]
    if not detail:
        raise Missed(f"{fault.name}: {shrunk.trial.id} is not shown again: {again.verdict}, {again.findings}")
    without = _replay(fault, clean, shrunk.trial.id, status=0)
    if without.verdict != "clean" or not without.injected:
        raise Missed(f"{fault.name}: without it {shrunk.trial.id} is not clean: {without.verdict}, {without.findings}")
    return Found(
        fault=fault.name,
        finding=fault.expect,
        first=first.trial.id,
        trials=swept.trials,
        findings=len(swept.findings),
        smallest=shrunk.trial.id,
        steps=len(shrunk.steps),
        detail=detail,
        seconds=time.perf_counter() - start,
    )


def _is(finding: Finding, fault: Fault) -> bool:
    return finding.kind == fault.expect and fault.says in finding.detail


def _sweep(fault: Fault, run: Run, told: Path, *, whole: bool, jobs: int) -> SweepResult:
    told.unlink(missing_ok=True)
    what = () if whole else fault.scenarios
    arguments = ["sweep", *what, "--kinds", ",".join(fault.kinds), "--jobs", str(jobs), "--json", str(told)]
    status, _, said = run(arguments, _SWEEP_S)
    if status not in (0, 1) or not told.exists():
        raise Missed(f"{fault.name}: the sweep itself failed with status {status}: {said}")
    return msgspec.json.decode(told.read_bytes(), type=SweepResult)


def _shrink(fault: Fault, run: Run, trial: str) -> Shrunk:
    status, out, said = run(["campaign", "shrink", trial, "--finding", fault.expect, "--json"], _TRIAL_S)
    if status != 0:
        raise Missed(f"{fault.name}: {trial} was found and cannot be shrunk: {said}")
    shrunk = msgspec.json.decode(out, type=Shrunk)
    if not shrunk.fixpoint:
        raise Missed(f"{fault.name}: {trial} was not shrunk to the end")
    return shrunk


def _replay(fault: Fault, run: Run, trial: str, *, status: int) -> Outcome:
    got, out, said = run(["replay", trial, "--json"], _TRIAL_S)
    if got != status:
        raise Missed(f"{fault.name}: replay {trial} ended with status {got}, not {status}: {said or out}")
    return msgspec.json.decode(out, type=Outcome)


def _command_of(tree: Tree) -> Run:
    def run(arguments: Sequence[str], timeout_s: float) -> tuple[int, str, str]:
        done = tree.run("faultinj.cli", arguments, timeout_s=timeout_s)
        return done.returncode, done.stdout, done.stderr

    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunt the faults that are named, or all. Returns: the exit status."""
    parser = argparse.ArgumentParser(prog="python -m plants.hunt", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults of the table; all without")
    parser.add_argument("--whole", action="store_true", help="sweep every scenario, not only those of the fault")
    parser.add_argument("--jobs", type=int, default=2, help="trials at one time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    asked = parser.parse_args(arguments)
    faults = read_faults()
    if unknown := set(asked.names) - {fault.name for fault in faults}:
        parser.error(f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(f.name for f in faults)}")
    chosen = [fault for fault in faults if not asked.names or fault.name in asked.names]
    start, found, missed = time.perf_counter(), [], []
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        where = Path(folder)
        clean, tree = Tree(where / "clean"), Tree(where / "planted")
        tree.build()
        clean.take(tree)
        print(f"two copies of the tree, built in {time.perf_counter() - start:.0f} s", flush=True)
        for fault in chosen:
            try:
                with tree.planted(fault):
                    one = hunt(fault, _command_of(tree), _command_of(clean), where, whole=asked.whole, jobs=asked.jobs)
            except (Missed, BuildFails) as error:
                missed.append(fault.name)
                print(f"MISSED {error}", flush=True)
                continue
            found.append(one)
            print(
                f"found {one.fault}: {one.finding}, {one.first} -> {one.smallest} ({one.trials} trials, "
                f"{one.steps} to shrink, {one.seconds:.0f} s): {one.detail}",
                flush=True,
            )
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    print(f"{len(found)} of {len(chosen)} planted faults found in {time.perf_counter() - start:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
