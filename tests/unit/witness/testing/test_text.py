"""The short text of a finding: frames of the project, orders around a cycle."""

from pathlib import Path

from witness.analysis import analyse
from witness.record import VERSION, Edge, Frame, Graph, LockClassRecord, Reversal, Side
from witness.testing.text import brief


def side(*files: str) -> Side:
    """Somewhere in these files, the innermost first."""
    stack = tuple(Frame(file, line, f"f{line}") for line, file in enumerate(files, 1))
    return Side(pid=7, process="gw0", thread="t", stack=stack)


def test_each_order_of_a_longer_cycle_is_told_with_the_projects_frames_alone(tmp_path: Path) -> None:
    mine, installed = str(tmp_path / "mine.py"), str(tmp_path / ".venv/lib/site-packages/theirs.py")
    at = (side(mine), side(installed, mine, "/usr/lib/python3/threading.py"))
    graph = Graph(
        version=VERSION,
        program="p",
        classes=tuple(LockClassRecord(id=number, name=name, kind="mutex") for number, name in enumerate("abc")),
        edges=(Edge(1, 0, 1, 1, at), Edge(2, 1, 2, 1, at)),
        reversals=(Reversal(1, first=2, second=0, cycle=(2, 0, 1), attempted=at),),
    )
    analysis = analyse(graph)
    [finding] = analysis.findings
    text = brief(finding, analysis.order, tmp_path)
    assert text.splitlines()[0] == "lock order reversal: c -> a -> b -> c"
    assert [line.split(" at ")[0].strip() for line in text.splitlines() if "took" in line] == [
        'took "a"',
        'took "b"',
        'took "c"',
    ]
    assert "theirs.py" not in text
    assert "threading.py" not in text
    assert text.count("mine.py:2 in f2") == 3


def test_where_no_frame_is_the_projects_the_innermost_is_told(tmp_path: Path) -> None:
    at = (side("/usr/lib/a.py", "/usr/lib/b.py"), side("/usr/lib/c.py", "/usr/lib/d.py"))
    graph = Graph(
        version=VERSION,
        program="p",
        classes=tuple(LockClassRecord(id=number, name=name, kind="mutex") for number, name in enumerate("ab")),
        reversals=(Reversal(1, first=0, second=0, cycle=(0,), attempted=at, kind="recursion"),),
    )
    analysis = analyse(graph)
    text = brief(analysis.findings[0], analysis.order, tmp_path)
    assert "/usr/lib/c.py:1 in f1" in text
    assert "d.py" not in text
