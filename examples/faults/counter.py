"""Counts how often it was run, in the file count.txt. There is a mistake in it: a death at the wrong moment loses the
count.

Find it with `faultinj run --sweep --kinds kill --scratch DIR --check 'python counter.py --check' -- python counter.py`,
where DIR has a count.txt; counted.py is its repaired twin.
"""

import sys

STATE = "count.txt"


def load() -> int:
    """The count so far."""
    with open(STATE, encoding="ascii") as given:
        return int(given.read())


def store(count: int) -> None:
    """Write the count over the old one: from the opening to the closing of the file there is neither."""
    with open(STATE, "w", encoding="ascii") as out:
        out.write(f"{count}\n")


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
