"""One process under witness: what is reported, in which words, and what is not."""

from collections.abc import Callable
from pathlib import Path

import pytest

import witness
from shmalloc import M_NOWAIT, M_WAITOK, Arena, CompanionMissing, LockDeadlock, LockNotHeld, ZoneExhausted, _native
from witness import flags

Texts = list[str]


@pytest.fixture
def texts() -> Texts:
    return []


@pytest.fixture
def checker(arena: Arena, texts: Texts) -> witness.Checker:
    return witness.arm(arena, output=texts.append)


def nest(arena: Arena, first: str, second: str) -> None:
    with arena.mutex(first), arena.mutex(second):
        pass


def test_a_reversal_is_printed_once_in_witness_words(arena: Arena, checker: witness.Checker, texts: Texts) -> None:
    nest(arena, "a", "b")
    assert texts == []
    for _ in range(3):
        nest(arena, "b", "a")
    [text] = texts
    here = f"{Path(__file__)}:"
    assert text.startswith(f"lock order reversal:\n 1st b (mutex, exclusive) @ {here}")
    assert "lock order a -> b established by pid" in text
    assert "lock order b -> a attempted by pid" in text
    assert text.count("#0 nest @") == 4
    [reversal] = witness.read_graph(arena).reversals
    names = [c.name for c in witness.read_graph(arena).classes]
    assert [names[c] for c in reversal.cycle] == ["a", "b"]
    assert reversal.established is not None
    assert all(side.stack[0].function == "nest" for side in (*reversal.attempted, *reversal.established))


def test_a_cycle_of_three_names_all_of_them(arena: Arena, checker: witness.Checker, texts: Texts) -> None:
    for first, second in ("ab", "bc", "ca"):
        nest(arena, first, second)
    [text] = texts
    assert " cycle a -> b -> c -> a\n" in text


def test_a_held_lock_is_placed_where_it_was_taken_this_time(
    arena: Arena, checker: witness.Checker, texts: Texts
) -> None:
    lock, zone = arena.mutex("a"), arena.zone("z", size=64)
    with lock:
        pass
    lock.acquire()  # here
    here = next(
        n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith("acquire()  # here")
    )
    zone.alloc(M_WAITOK).free()
    lock.release()
    [sleep] = witness.read_graph(arena).sleeps
    assert sleep.held[0].site is not None
    assert sleep.held[0].site.line == here


@pytest.mark.parametrize("nosleep", [0, 1])
def test_m_waitok_under_a_lock_follows_the_sysctl(
    arena: Arena, checker: witness.Checker, texts: Texts, nosleep: int
) -> None:
    assert arena.sysctl["debug.nosleepwithlocks"] == 1  # the default under witness
    arena.sysctl["debug.nosleepwithlocks"] = nosleep
    zone = arena.zone("frame", size=4096, max_items=1)
    items = []
    with pytest.raises(ZoneExhausted):
        while True:
            items.append(zone.alloc(M_NOWAIT))
    assert texts == []
    with arena.mutex("lock"), pytest.raises(ZoneExhausted) as refused:
        zone.alloc(M_WAITOK, timeout=0.01)
    [text] = texts
    forcing = ", forcing M_NOWAIT" if nosleep else ""
    assert text.startswith(
        f'malloc(M_WAITOK) of "frame"{forcing} with the following non-sleepable locks held:\nexclusive mutex lock r = 0'
    )
    [sleep] = witness.read_graph(arena).sleeps
    assert (sleep.zone, sleep.action) == ("frame", "forced M_NOWAIT" if nosleep else "reported")
    assert [held.name for held in sleep.held] == ["lock"]
    assert sleep.side.stack[0].function == "test_m_waitok_under_a_lock_follows_the_sysctl"
    assert zone.statistics().sleeps == (0 if nosleep else 1), refused
    del items


def test_sleeping_under_an_sx_lock_is_allowed(arena: Arena, checker: witness.Checker, texts: Texts) -> None:
    with arena.sx("sx").exclusive():
        arena.zone("z", size=64).alloc(M_WAITOK).free()
    assert texts == []


MISUSES: dict[str, tuple[Callable[[Arena], object], type[Exception] | None, str]] = {
    "release": (lambda a: a.mutex("m").release(), LockNotHeld, "release of a lock that is not held"),
    "upgrade": (lambda a: a.sx("m").try_upgrade(), LockNotHeld, "upgrade of a lock that is not held shared"),
    "downgrade": (lambda a: a.sx("m").downgrade(), LockNotHeld, "downgrade of a lock that is not held alone"),
}


@pytest.mark.parametrize("what", MISUSES)
def test_misuse_is_reported(arena: Arena, checker: witness.Checker, texts: Texts, what: str) -> None:
    use, error, words = MISUSES[what]
    with pytest.raises(error or Exception):
        use(arena)
    assert [words in text for text in texts] == [True]
    assert [m.what for m in witness.read_graph(arena).misuses] == [words]


def test_taking_a_mutex_twice_is_told_with_both_places(arena: Arena, checker: witness.Checker, texts: Texts) -> None:
    lock = arena.mutex("m")
    with lock, pytest.raises(LockDeadlock):
        lock.acquire()
    assert [r.kind for r in witness.read_graph(arena).reversals] == ["recursion"]


def test_readers_in_both_orders_are_no_reversal(arena: Arena, checker: witness.Checker, texts: Texts) -> None:
    a, b = arena.rwlock("a"), arena.rwlock("b")
    for first, second in ((a, b), (b, a)):
        with first.read(), second.read():
            pass
    assert texts == []
    with a.write(), b.write():
        pass
    assert len(texts) == 1


def test_declared_orders_and_blessings(arena: Arena, checker: witness.Checker, texts: Texts) -> None:
    checker.declare("a", "b", "c")
    with pytest.raises(witness.WitnessError, match="SM_DEADLOCK"):
        checker.declare("c", "a")
    nest(arena, "c", "a")
    assert len(texts) == 1
    assert "established (declared)" in texts[0]
    checker.bless("x", "y")
    nest(arena, "x", "y")
    nest(arena, "y", "x")
    assert len(texts) == 1
    assert [r.blessed for r in witness.read_graph(arena).reversals] == [False, True]


def test_watch_0_finds_nothing_and_a_held_lock_at_the_end_is_told(arena_name: str, texts: Texts) -> None:
    with Arena.create(arena_name, max_size="64M") as arena:
        checker = witness.arm(arena, output=texts.append)
        checker.watch = 0
        nest(arena, "a", "b")
        nest(arena, "b", "a")
        assert texts == []
        checker.watch = 1
        with pytest.raises(ValueError, match="watch=7"):
            checker.watch = 7
        arena.mutex("kept").acquire()
    assert ["exit with a lock held: mutex kept" in text for text in texts] == [True]


def test_tables_that_are_full_end_the_checks_and_nothing_else(arena: Arena, texts: Texts) -> None:
    checker = witness.arm(arena, output=texts.append, classes=6)
    nest(arena, "a", "b")
    nest(arena, "b", "c")
    assert checker.watch == -1
    assert witness.read_graph(arena).off_reason == "the table of lock classes is full"
    nest(arena, "c", "d")


def test_disarmed_it_costs_nothing_and_says_nothing(arena: Arena, checker: witness.Checker, texts: Texts) -> None:
    witness.disarm(arena)
    nest(arena, "a", "b")
    nest(arena, "b", "a")
    assert texts == []
    assert _native.companion_flags(arena) == 0
    with pytest.raises(witness.NotArmed, match=r"witness.arm\(arena\)"):
        witness.disarm(arena)


def test_an_arena_that_names_a_missing_companion_is_refused_clearly(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witness.checker.ENTRY", "no_such_module:attached")
    witness.arm(arena)
    with pytest.raises(CompanionMissing, match=r"'no_such_module:attached'.*install it here, or disarm it") as missing:
        Arena.attach(arena.name)
    assert missing.value.entry == "no_such_module:attached"
    Arena.attach(arena.name, read_only=True).close()


def test_a_dump_carries_the_graph(arena: Arena, checker: witness.Checker, tmp_path: Path) -> None:
    nest(arena, "a", "b")
    arena.dump(tmp_path / "dump")
    with Arena.attach_file(tmp_path / "dump") as dump, Arena.attach(arena.name, read_only=True) as looking:
        for place in (dump, looking):
            graph = witness.read_graph(place, program="p")
            assert graph == witness.read_graph(arena, program="p")
            names = {c.id: c.name for c in graph.classes}
            assert [e.count for e in graph.edges if (names[e.first], names[e.second]) == ("a", "b")] == [1]


def test_an_arena_never_armed_has_no_graph(arena: Arena) -> None:
    with pytest.raises(witness.NoGraph, match=r"witness.arm\(arena\)"):
        witness.read_graph(arena)


def test_foreign_locks_share_the_graph(arena: Arena, checker: witness.Checker, texts: Texts) -> None:
    native = checker.native
    foreign = native.class_get("socket lock", "foreign:threading.Lock", flags=flags.SLEEPABLE | flags.DUPOK)
    with arena.mutex("a"):
        native.acquired(foreign, 1, flags.EXCLUSIVE, flags.TRY)
        native.released(foreign, 1)
    native.acquired(foreign, 1)
    nest(arena, "a", "b")
    native.released(foreign, 1, must=True)
    assert texts == []
    native.released(foreign, 1, must=True)
    assert ["release of a lock that is not held: foreign:threading.Lock socket lock" in t for t in texts] == [True]
