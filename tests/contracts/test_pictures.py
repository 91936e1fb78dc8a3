"""The drawings of docs/memory-layout.md are those of the layout headers, line for line; so are the invariants."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / "shmalloc/core/layout.h"
LAYOUTS = sorted((ROOT / "shmalloc/core").glob("layout*.h"))
TOUR = ROOT / "docs/memory-layout.md"


def squeezed(line: str) -> str:
    """A line without the comment's border and its indentation, inner spaces as they are."""
    return re.sub(r"^\s*(?:/?\*)?\s*", "", line).rstrip()


def test_every_line_of_every_drawing_is_in_the_header() -> None:
    header = {squeezed(line) for layout in LAYOUTS for line in layout.read_text().splitlines()}
    drawings = re.findall(r"```text\n(.*?)```", TOUR.read_text(), re.DOTALL)
    assert len(drawings) >= 6
    drawn = [squeezed(line) for drawing in drawings for line in drawing.splitlines() if line.strip()]
    assert [line for line in drawn if line not in header] == []


def test_every_invariant_of_the_header_is_on_the_page() -> None:
    declared = re.findall(r"^ \* +(I\d+) +(\S.*)$", LAYOUT.read_text(), re.MULTILINE)
    assert [number for number, _ in declared] == [f"I{n}" for n in range(1, len(declared) + 1)]
    shown = re.findall(r"^(I\d+) +(\S.*)$", TOUR.read_text(), re.MULTILINE)
    assert shown == declared
