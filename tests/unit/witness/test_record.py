"""The graph record goes to JSON and comes back the same; what is no record is refused with the reason."""

from pathlib import Path

import msgspec
import pytest

from witness.record import (
    VERSION,
    ContentionPoint,
    Edge,
    Frame,
    Graph,
    GraphUnreadable,
    HeldLock,
    LockClassRecord,
    Misuse,
    Process,
    Reversal,
    Side,
    Sleep,
    Span,
    Wait,
    from_json,
    read_graph,
    to_json,
    write_graph,
)

HERE = Frame("bank.py", 12, "transfer")
SIDE = Side(pid=7, process="teller", thread="MainThread", cpu=2, stack=(HERE,), mode="exclusive", tid=70)
FULL = Graph(
    version=VERSION,
    program="bank.py",
    processes=(Process(7, "teller", 1_000),),
    classes=(
        LockClassRecord(1, "accounts", "mutex", HERE, acquires=9, contended=1, wait=Span(1, 2, 3)),
        LockClassRecord(2, "ledger", "foreign:threading.Lock", points=(ContentionPoint(HERE, 4),)),
    ),
    edges=(Edge(1, 1, 2, 5, (SIDE, SIDE), gates=(2,), threads=("7/70",)),),
    reversals=(Reversal(1, 2, 1, (2, 1), (SIDE, SIDE), (SIDE, SIDE), time_ns=5),),
    sleeps=(Sleep(1, 'zone "frame"', "frame", SIDE, (HeldLock(1, "accounts", site=HERE),), "forced M_NOWAIT"),),
    misuses=(Misuse(1, "released without being held", 2, SIDE),),
    off_reason="the table of classes is full",
    waits=(Wait(SIDE, 1, "0x10", (SIDE,)),),
)


def test_a_record_survives_json_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    write_graph(path, FULL)
    assert read_graph(path) == FULL
    assert from_json(to_json(FULL)) == FULL


def test_what_is_newer_than_needed_may_be_left_out() -> None:
    assert from_json(b'{"version": 1, "program": "p"}') == Graph(version=1, program="p")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no json", "this is no graph record"),
        (b"\xff\xfe", "this is no graph record"),
        (b'{"version": "one", "program": "p"}', "Expected `int`, got `str` - at `$.version`"),
        (b'{"version": 99, "program": "p"}', "the record has version 99 and this witness reads 1"),
        (to_json(msgspec.structs.replace(FULL, classes=FULL.classes[:1])), "edge 1 names class 2"),
        (to_json(msgspec.structs.replace(FULL, classes=FULL.classes * 2)), "two records have one class id"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(data: bytes, said: str) -> None:
    with pytest.raises(GraphUnreadable) as refused:
        from_json(data, source="x.json")
    assert str(refused.value).startswith("x.json: ")
    assert said in refused.value.reason


@pytest.mark.parametrize("noun", ["sleeps", "misuses", "waits", "reversals"])
def test_every_part_that_names_an_unknown_class_is_refused(noun: str) -> None:
    alone = Graph(version=VERSION, program="p", **{noun: getattr(FULL, noun)})
    with pytest.raises(GraphUnreadable, match="which is not in it"):
        from_json(to_json(alone))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphUnreadable, match=r"gone\.json: the file cannot be read: No such file"):
        read_graph(tmp_path / "gone.json")
