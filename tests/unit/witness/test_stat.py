"""`witness stat`: what a living arena and records say of contention, in which order, and from zero again."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import witness
from shmalloc import Arena, LockTimeout
from witness import flags
from witness.analysis.merge import merge
from witness.cli import app
from witness.record import LockClassRecord, write_graph
from witness.report.lockstat import SORTS, lock_rows

runner = CliRunner()


@pytest.fixture
def checker(arena: Arena) -> witness.Checker:
    return witness.arm(arena, output=None)


def class_of(arena: Arena, name: str) -> LockClassRecord:
    return next(record for record in witness.read_graph(arena).classes if record.name == name)


def told(*arguments: str) -> list[dict[str, object]]:
    result = runner.invoke(app, ["stat", "--json", *arguments])
    assert result.exit_code == 0, result.output
    rows: list[dict[str, object]] = json.loads(result.stdout)
    return rows


def wait_once(arena: Arena, name: str) -> None:
    """This thread holds the lock until another process's worth of waiting was seen to begin."""
    lock = arena.mutex(name)
    lock.acquire()
    with Arena.attach(arena.name) as other:
        waiter = threading.Thread(target=take_when_free, args=(other, name))
        waiter.start()
        waiting(arena, name)
        lock.release()
        waiter.join(30)
        assert not waiter.is_alive()


def take_when_free(arena: Arena, name: str) -> None:
    with arena.mutex(name):
        pass


def waiting(arena: Arena, name: str) -> None:
    number = class_of(arena, name).id
    deadline = time.monotonic() + 60
    while not any(wait.class_id == number for wait in witness.read_graph(arena).waits):
        assert time.monotonic() < deadline, f"nobody waits for {name}"


def test_a_wait_for_an_arenas_lock_is_measured_with_both_places(arena: Arena, checker: witness.Checker) -> None:
    for _ in range(2):
        wait_once(arena, "m")
    record = class_of(arena, "m")
    assert (record.contended, record.wait.times, record.acquires) == (2, 2, 4)
    assert 0 < record.wait.min_ns <= record.wait.avg_ns <= record.wait.max_ns <= record.wait.total_ns
    assert [(point.site.function, point.count) for point in record.points] == [("take_when_free", 2)]
    assert [(point.site.function, point.count) for point in record.holders] == [("wait_once", 2)]
    assert record.hold.times == 0


def test_a_wait_in_vain_is_a_contention_without_a_time(arena: Arena, checker: witness.Checker) -> None:
    with arena.mutex("m"), Arena.attach(arena.name) as other:
        failed: list[str] = []

        def try_it() -> None:
            try:
                other.mutex("m").acquire(timeout=0.001)
            except LockTimeout as error:
                failed.append(str(error))

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join(30)
        assert failed
    record = class_of(arena, "m")
    assert (record.contended, record.wait.times, record.wait.max_ns) == (1, 0, 0)


def test_holds_are_figures_while_they_are_timed(arena: Arena, checker: witness.Checker) -> None:
    checker.timing = True
    for _ in range(3):
        take_when_free(arena, "m")
    checker.timing = False
    take_when_free(arena, "m")
    record = class_of(arena, "m")
    assert (record.hold.times, record.acquires) == (3, 4)
    assert 0 < record.hold.min_ns <= record.hold.avg_ns <= record.hold.max_ns


def test_a_lock_of_threading_is_measured_when_it_was_found_taken(arena: Arena, checker: witness.Checker) -> None:
    kind = "foreign:threading.Lock"
    watched = threading.Lock()
    witness._witness.watch_lock(watched, checker.native, checker.class_id("lock", kind, flags=flags.DUPOK))
    with watched:
        pass
    assert watched.acquire(timeout=30)  # free: a timeout alone is no wait
    watched.release()
    assert class_of(arena, "lock").contended == 0

    def take(timeout: float) -> None:
        assert watched.acquire(True, timeout)
        watched.release()

    for timeout in (-1, 30):
        watched.acquire()
        waiter = threading.Thread(target=take, args=(timeout,))
        waiter.start()
        waiting(arena, "lock")
        watched.release()
        waiter.join(30)
        assert not waiter.is_alive()
    record = class_of(arena, "lock")
    assert (record.contended, record.wait.times) == (2, 2)
    assert sum(point.count for point in record.points) == 2


def test_reset_while_it_runs_and_what_others_took_before_does_not_come_back(
    arena: Arena, checker: witness.Checker
) -> None:
    wait_once(arena, "m")
    checker.reset_statistics()
    record = class_of(arena, "m")
    assert (record.contended, record.acquires, record.wait.times, record.wait.max_ns) == (0, 0, 0, 0)
    assert record.points == record.holders == ()
    wait_once(arena, "m")
    record = class_of(arena, "m")
    assert (record.contended, record.acquires, record.wait.times) == (1, 2, 1)


def test_stat_of_an_arena_prints_resets_and_switches_timing(arena: Arena, checker: witness.Checker) -> None:
    wait_once(arena, "m")
    take_when_free(arena, "n")
    [row] = told(arena.name, "--contended", "--reset", "--timing")
    assert (row["name"], row["contentions"], row["acquisitions"]) == ("m", 1, 2)
    assert row["wait"]["measured"] == 1  # type: ignore[index]
    assert checker.timing
    take_when_free(arena, "n")
    first = told(arena.name, "--sort", "acquisitions", "--most", "1")
    assert [(row["name"], row["acquisitions"], row["contentions"]) for row in first] == [("n", 1, 0)]
    assert first[0]["hold"]["measured"] == 1  # type: ignore[index]
    result = runner.invoke(app, ["stat", arena.name, "--no-timing"])
    assert result.exit_code == 0
    assert "contentions" in result.stdout
    assert not checker.timing


def test_stat_of_an_arena_shows_the_points_of_both_sides(arena: Arena, checker: witness.Checker) -> None:
    wait_once(arena, "m")
    result = runner.invoke(app, ["stat", arena.name, "-c"])
    points = result.stdout[result.stdout.index("contention points") :]
    assert "take_when_free" in points
    assert "wait_once" in points


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["{record}", "--reset"], "a record does not change"),
        (["{record}", "{arena}"], "one arena alone"),
        (["{arena}", "--sort", "colour"], "contentions"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_status_two(
    arena: Arena, checker: witness.Checker, tmp_path: Path, arguments: list[str], word: str
) -> None:
    record = tmp_path / "graph.json"
    write_graph(record, witness.read_graph(arena))
    names = {"record": str(record), "arena": arena.name}
    result = runner.invoke(app, ["stat", *(argument.format(**names) for argument in arguments)])
    assert result.exit_code == 2
    assert word in result.output


def test_an_arena_never_armed_has_no_statistics(arena: Arena) -> None:
    result = runner.invoke(app, ["stat", arena.name])
    assert result.exit_code == 2
    assert "never under witness" in result.output


def test_records_are_joined_point_by_point(arena: Arena, checker: witness.Checker, tmp_path: Path) -> None:
    wait_once(arena, "m")
    graph = witness.read_graph(arena)
    [record] = [one for one in merge([graph, graph]).classes if one.name == "m"]
    assert (record.contended, record.wait.times, record.acquires) == (2, 2, 4)
    assert [point.count for point in (*record.points, *record.holders)] == [2, 2]
    assert record.wait.max_ns == class_of(arena, "m").wait.max_ns
    path = tmp_path / "graph.json"
    write_graph(path, graph)
    assert [row["contentions"] for row in told(str(path), str(path), "-c")] == [2]


def test_every_sort_stands_on_its_figure(arena: Arena, checker: witness.Checker) -> None:
    wait_once(arena, "m")
    take_when_free(arena, "n")
    graph = witness.read_graph(arena)
    for sort in SORTS:
        rows = lock_rows(graph, sort)
        assert len(rows) == len(graph.classes)
        if sort.startswith(("contentions", "wait")):
            assert rows[0].name == "m"


def test_a_class_is_found_by_its_name_whatever_its_kind(arena: Arena, checker: witness.Checker) -> None:
    with arena.rwlock("table").read(), arena.mutex("row"):
        pass
    number = class_of(arena, "table").id
    assert checker.class_id("table") == number
    checker.declare("table", "row")
    assert len(witness.read_graph(arena).misuses) == 0
    assert checker.class_id("new") == checker.class_id("new", "mutex")
    checker.class_id("table", "sx")
    with pytest.raises(witness.WitnessError, match="'rwlock' and 'sx'") as caught:
        checker.class_id("table")
    assert caught.value.code == "SM_MISMATCH"
    assert checker.class_id("table", "rwlock") == number


def test_a_side_names_the_slot_of_its_process(arena: Arena, checker: witness.Checker) -> None:
    with arena.mutex("a"), arena.mutex("b"):
        pass
    with arena.mutex("b"), arena.mutex("a"):
        pass
    [reversal] = witness.read_graph(arena).reversals
    assert {side.cpu for side in reversal.attempted} == {arena.cpu_id}
