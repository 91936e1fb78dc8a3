"""A bank in two programs that do not agree: `python -m workloads.bank ARENA transfer`, or `close_day`.

Each takes the mutexes of accounts and ledger, one in the other, and ends. Run one after the other nothing can block; at
the same moment they can deadlock. Neither knows of witness: an armed arena arms whoever attaches.
"""

from __future__ import annotations

import sys

import shmalloc

ACCOUNTS = "accounts"
LEDGER = "ledger"
# Nobody else wants the locks; whoever does not get them says so instead of waiting for ever.
PATIENCE_S = 20.0


def transfer(arena: shmalloc.Arena) -> None:
    """Money moves first, then the ledger is told."""
    accounts, ledger = arena.mutex(ACCOUNTS), arena.mutex(LEDGER)
    accounts.acquire(PATIENCE_S)
    ledger.acquire(PATIENCE_S)
    ledger.release()
    accounts.release()


def close_day(arena: shmalloc.Arena) -> None:
    """The ledger is closed first, then its interest goes to the accounts."""
    accounts, ledger = arena.mutex(ACCOUNTS), arena.mutex(LEDGER)
    ledger.acquire(PATIENCE_S)
    accounts.acquire(PATIENCE_S)
    accounts.release()
    ledger.release()


PROGRAMS = {"transfer": transfer, "close_day": close_day}


def main() -> int:
    """Run as a process. Returns: 0; an exception is left to end it."""
    name, program = sys.argv[1:]
    with shmalloc.Arena.attach(name, cpu_name=program) as arena:
        PROGRAMS[program](arena)
    return 0


if __name__ == "__main__":
    sys.exit(main())
