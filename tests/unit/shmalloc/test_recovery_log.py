"""The log's lines of recoveries: what the core writes is read back whole, and what nobody wrote gives no figures."""

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from shmalloc import Arena, DeadCpu, Event, RecoveryReport
from shmalloc.recovery_log import read_name, recoveries

DIED = "died at=10 cpu=3 pid=77 op=2 did=2 since=f on=frame name=worker"
ZONE = "zone at=10 freed=4 name=%6120c3bc25"
REAPED = "reaped at=10 by=9 dead=1 freed=4 uncached=5 kept=6 undone=1 requeued=7 stopped=800 total=900"
REPORT = RecoveryReport(
    16, 1, 9, 1, 4, 5, 6, 1, 7, 800, 900,
    (DeadCpu(3, 77, "worker", "a free", "frame", "undone: the item is free", 15),), (("a ü%", 4),),
)  # fmt: skip


def log(*texts: str, kind: str = "recovery") -> list[Event]:
    return [Event(seq, 1000 + seq, kind, 1, text) for seq, text in enumerate(texts, 1)]


def dies(arena: Arena, run: Callable[[Arena], object]) -> int:
    """A child attaches, runs `run`, says so and is killed. Returns: its pid."""
    ready, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kept = run(arena)
            os.write(said, b"1" if kept is not None else b"0")
            signal.pause()
        finally:
            os._exit(1)
    os.close(said)
    try:
        assert os.read(ready, 1) == b"1"
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return pid


def test_a_recovery_is_read_from_its_lines() -> None:
    assert recoveries(log(DIED, ZONE, REAPED)) == (REPORT,)


def test_lines_of_two_recoveries_may_alternate() -> None:
    others = [text.replace("at=10", "at=20").replace("cpu=3", "cpu=4") for text in (DIED, ZONE, REAPED)]
    mixed = [text for pair in zip((DIED, ZONE, REAPED), others, strict=True) for text in pair]
    first, second = recoveries(log(*mixed))
    assert first == REPORT
    assert (second.found_ns, second.cpus[0].cpu, second.finished) == (32, 4, True)


def test_a_death_that_a_killed_reaper_told_is_told_once() -> None:
    again = [text.replace("at=10", "at=20") for text in (DIED, ZONE, REAPED)]
    assert recoveries(log(DIED, *again)) == (dataclasses.replace(REPORT, found_ns=32),)


def test_without_totals_a_recovery_is_unfinished_and_still_names_the_dead() -> None:
    [report] = recoveries(log(DIED))
    assert (report.finished, report.dead, report.freed, report.cpus) == (False, 1, 0, REPORT.cpus)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "died",
        "died at=xyz",
        DIED.replace("pid=77", "pid=many"),
        DIED.replace("name=worker", "name=%zz"),
        DIED.replace(" did=2", ""),
        DIED[:40],
        ZONE.replace("freed=4", "freed"),
        REAPED.replace(" total=900", ""),
        REAPED + " loose",
        "born at=10 cpu=3",
        "\ufffd\x00\x7f",
    ],
)
def test_a_line_that_nobody_wrote_is_passed_over(line: str) -> None:
    if line.startswith("reaped"):
        assert not recoveries(log(DIED, line))[0].finished
    else:
        assert recoveries(log(line)) == ()


def test_unknown_keys_numbers_and_kinds_are_no_error() -> None:
    [report] = recoveries(log(DIED.replace("op=2 did=2", "op=15 did=99") + " colour=red", REAPED + " more=1"))
    assert report.finished
    assert report.cpus[0].doing == "an unknown operation"
    assert "does not know" in report.cpus[0].outcome
    assert recoveries(log(DIED, ZONE, REAPED, kind="note")) == ()


@pytest.mark.parametrize(
    "name", ["frame", "a b", "100%", "%6162", "x=y", "ü" * 15, "\x01" * 31, "tab\there", "new\nline", "~" * 31]
)
def test_names_survive_the_log_whatever_is_in_them(arena: Arena, name: str) -> None:
    zone = arena.zone(name, size=64)

    def run(there: Arena) -> object:
        there.close()
        mine = Arena.attach(there.name, cpu_name=name)
        return mine, mine.zone(name).alloc_many(3)

    pid = dies(arena, run)
    report = arena.reap()
    assert arena.recoveries() == (report,)
    assert [(cpu.pid, cpu.name) for cpu in report.cpus] == [(pid, name)]
    assert report.zones == ((name, 3),)
    assert zone.statistics().used == 0


def test_a_written_name_is_its_own_or_hexadecimal() -> None:
    assert [read_name(told) for told in ("frame", "", "%", "%c3bc")] == ["frame", "", "", "ü"]
    with pytest.raises(ValueError, match="hexadecimal"):
        read_name("%c")


def test_the_widest_line_fits_an_event(arena: Arena) -> None:
    arena.zone("\x01" * 31, size=64)

    def run(there: Arena) -> object:
        there.close()
        mine = Arena.attach(there.name, cpu_name="\x02" * 31)
        return mine, mine.zone("\x01" * 31).alloc()

    dies(arena, run)
    arena.reap()
    longest = max(len(event.text) for event in arena.events())
    widest = "died at=" + "f" * 16 + " cpu=4094 pid=4294967295 op=8 did=3 since=" + "f" * 16
    assert len(widest + " on=%" + "0" * 62 + " name=%" + "0" * 62) < 232
    assert longest < 232


def test_old_recoveries_go_as_the_ring_turns(arena: Arena) -> None:
    arena.zone("z", size=64)

    def run(there: Arena) -> object:
        return there.zone("z").alloc()

    pids = []
    for _ in range(100):
        pids.append(dies(arena, run))
        arena.reap()
    kept = [report for report in arena.recoveries() if report.finished]
    assert 80 <= len(kept) <= 86  # 256 lines, three each
    assert [report.cpus[0].pid for report in kept[1:]] == pids[-len(kept) + 1 :]


def test_a_dump_tells_the_recoveries_of_its_arena(arena: Arena, tmp_path: Path) -> None:
    arena.zone("z", size=64)
    dies(arena, lambda there: there.zone("z").alloc())
    report = arena.reap()
    arena.dump(tmp_path / "d")
    with Arena.attach_file(tmp_path / "d") as copy:
        assert copy.recoveries() == (report,)
