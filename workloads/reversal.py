"""Two processes take two mutexes of an arena in opposite order, one process after the other, under witness.

Owns the arena and both children, and leaves neither behind. Nobody ever waits for a lock: what is found is what could
happen. The programs are bank.py's; what witness judges is `witness.analysis`'s.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import shmalloc
from workloads.bank import ACCOUNTS, LEDGER, PROGRAMS
from workloads.intended import IntendedReversal
from workloads.records import WatchRecord
from workloads.watching import Watch

LIMIT_S = 60.0


class NotFinished(RuntimeError):
    """One of the two programs did not end well; what it wrote stands in the message."""


def reverse_between_processes() -> WatchRecord:
    """Run both programs to their end.

    Returns: what witness saw: one lock-order reversal, of two processes. Raises: NotFinished.
    """
    name = f"workloads-bank-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        with shmalloc.Arena.create(name, max_size="32M", max_cpus=8, cpu_name="bank") as arena:
            watch = Watch(arena)
            for program in PROGRAMS:
                _run(name, program)
            return watch.record("bank.py", [IntendedReversal(frozenset({ACCOUNTS, LEDGER}))])
    finally:
        shmalloc.Arena.unlink_name(name)


def _run(arena: str, program: str) -> None:
    """One program as a process. It tells of what it does wrong itself, on its standard error; that is read here."""
    command = [sys.executable, "-m", "workloads.bank", arena, program]
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise NotFinished(f"{program} did not end within {LIMIT_S:g} s and was killed; run it again") from error
    if ended.returncode != 0:
        raise NotFinished(f"{program} ended with status {ended.returncode}: {ended.stderr.strip()[-2000:]}")
