"""Programs that know nothing of shmalloc, bare and under `witness run`, in turns.

Owns the commands and what of their figures counts: loops over threading's locks, in nanoseconds a turn, and the wall
time of the interpreter's own test_queue. A watched run that fails or finds something has no figure.
"""

from __future__ import annotations

import subprocess
import sys
import time

import msgspec

from workloads.bench.build import Unavailable
from workloads.bench.catalogue import wanted
from workloads.bench.lock_loops import LOOPS
from workloads.bench.round import Progress, Tableau
from workloads.bench.targets import BARE_LOCK, BARE_PROGRAM, WATCHED_LOCK, WATCHED_PROGRAM

PROGRAM = "witness.program"
ANSWERED = (
    *((name, subject) for name in LOOPS for subject in (BARE_LOCK, WATCHED_LOCK)),
    *((PROGRAM, subject) for subject in (BARE_PROGRAM, WATCHED_PROGRAM)),
)
"""Every case and subject of this level."""
TURNS_MOST = 3
DEADLINE_S = 300.0
_WITNESS = ("-m", "witness.cli", "run")


def measure_watched(tableau: Tableau, *, only: str | None, repeat: int, seconds: float, progress: Progress) -> None:
    """Measures the wanted cases; a loop gets so many seconds in each turn."""
    loops = [name for name in LOOPS if wanted(only, name)]
    if loops:
        _measure_loops(tableau, loops, repeat, seconds, progress)
    if wanted(only, PROGRAM):
        _measure_program(tableau, min(repeat, TURNS_MOST), progress)


def _measure_loops(tableau: Tableau, loops: list[str], repeat: int, seconds: float, progress: Progress) -> None:
    command = ("-m", "workloads.bench.lock_loops", str(seconds), *loops)
    for turn in range(repeat):
        for subject, watched in ((BARE_LOCK, ()), (WATCHED_LOCK, _WITNESS)):
            try:
                figures = msgspec.json.decode(_run(*watched, *command), type=dict[str, float])
            except Unavailable as why:
                for name in loops:
                    tableau.skip(name, subject, str(why))
                return
            for name, ns in figures.items():
                tableau.add(name, subject, ns)
        progress(f"watched locks, run {turn + 1} of {repeat}")


def _measure_program(tableau: Tableau, turns: int, progress: Progress) -> None:
    try:
        _run("-c", "import test.test_queue")
    except Unavailable:
        for subject in (BARE_PROGRAM, WATCHED_PROGRAM):
            tableau.skip(
                PROGRAM, subject, "not installed: the interpreter's own tests, apt package libpython3-testsuite"
            )
        return
    for turn in range(turns):
        for subject, watched in ((BARE_PROGRAM, ()), (WATCHED_PROGRAM, _WITNESS)):
            began = time.monotonic()
            try:
                _run(*watched, "-m", "unittest", "test.test_queue")
            except Unavailable as why:
                tableau.skip(PROGRAM, subject, str(why))
                return
            tableau.add(PROGRAM, subject, (time.monotonic() - began) * 1e6)
        progress(f"a program under witness, run {turn + 1} of {turns}")


def _run(*arguments: str) -> bytes:
    """What a Python program prints. Raises Unavailable: it failed, or something was found, or it took too long."""
    try:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(arguments)} did not end within {DEADLINE_S:.0f} s") from None
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unavailable(f"{' '.join(arguments)} ended with {done.returncode}: {words[-1] if words else 'no message'}")
    return done.stdout
