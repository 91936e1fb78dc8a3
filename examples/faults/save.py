"""Saves a report by way of a temporary file. There is a mistake in it: a failed write leaves the temporary file behind.

Find it with `faultinj run --sweep --ok 3 --watch DIR -- python save.py DIR`; saved.py is its repaired twin.
"""

import os
import sys


def save(folder: str, text: str) -> None:
    """Replace DIR/report.txt in one step."""
    temporary = os.path.join(folder, "report.tmp")
    with open(temporary, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, os.path.join(folder, "report.txt"))


def main() -> int:
    """Save the report. Returns: 3 when it cannot be saved."""
    try:
        save(sys.argv[1], "all is well\n" * 100)
    except OSError as error:
        print(f"the report was not saved: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
