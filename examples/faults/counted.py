"""Counts how often it was run, in the file count.txt, which at every moment holds the old count or the new one:
counter.py without its mistake.
"""

import os
import sys

STATE = "count.txt"


def load() -> int:
    """The count so far."""
    with open(STATE, encoding="ascii") as given:
        return int(given.read())


def store(count: int) -> None:
    """Put a new file into the old one's place. What is half done when a process dies has a name of its own, which the
    next run takes again."""
    with open(f"{STATE}.new", "w", encoding="ascii") as out:
        out.write(f"{count}\n")
        out.flush()
        os.fsync(out.fileno())  # before the name changes: after a loss of power the name may be there and the data not
    os.replace(f"{STATE}.new", STATE)


def check() -> int:
    """Whether the file holds a count. Returns: the exit status."""
    try:
        load()
    except (OSError, ValueError) as error:
        print(f"the count is lost: {error}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Count this run, or check. Returns: the exit status."""
    if sys.argv[1:] == ["--check"]:
        return check()
    store(load() + 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
