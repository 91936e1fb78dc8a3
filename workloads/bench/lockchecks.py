"""Lock checkers in C: witness over an arena's mutexes, and what others ask for the same loop. Owns the list of these
programs and what each answers; runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workloads.bench.build import Unavailable, build_program, find_compiler, pkg_config
from workloads.bench.subjects import Launch, Native, Question
from workloads.bench.targets import (
    CLASSES_10,
    CLASSES_1000,
    EMPTY,
    HOOKLESS,
    WATCH_ADDS,
    WATCHED,
)

DETECTING = "absl::Mutex, deadlock detection"


def _ours(*flags: str) -> Callable[[Path], Launch]:
    def prepare(cache: Path) -> Launch:
        return Launch(build_program("ours_witness.c", cache=cache, flags=flags, with_core=True, with_witness=True))

    return prepare


def _absl(cache: Path) -> Launch:
    flags = pkg_config("absl_synchronization", package="libabsl-dev")
    libraries = pkg_config("absl_synchronization", package="libabsl-dev", what="--libs")
    return Launch(build_program("peer_absl.cpp", cache=cache, flags=flags, libraries=libraries))


def _pthread(cache: Path) -> Launch:
    return Launch(build_program("peer_pthread.c", cache=cache))


def _tsan(cache: Path) -> Launch:
    # Its runtime of some compilers finds no room for its shadow where the kernel randomises addresses widely.
    flags = ("-fsanitize=thread",)
    setarch = find_compiler("setarch")
    program = build_program("peer_pthread.c", cache=cache, flags=flags, libraries=flags)
    return Launch(program, through=(setarch, "-R") if setarch is not None else ())


def _helgrind(cache: Path) -> Launch:
    valgrind = find_compiler("valgrind")
    if valgrind is None:
        raise Unavailable("not installed: apt package valgrind")
    return Launch(build_program("peer_pthread.c", cache=cache), through=(valgrind, "-q", "--tool=helgrind"))


LOCK_CHECKERS: tuple[Native, ...] = (
    Native(
        "ours_witness",
        _ours(),
        (
            Question("witness.off", EMPTY, "pair"),
            Question("witness.nested", WATCH_ADDS, "nested_cost", "on less off, in one process"),
            Question("witness.nested", "shmalloc, witness off", "nested_off"),
            Question("witness.nested", "shmalloc, witness on", "nested_on"),
            Question("witness.disjoint", WATCHED, "apart_on"),
            Question("witness.disjoint", "shmalloc, witness off", "apart_off"),
            Question("witness.types", CLASSES_1000, "one_1000"),
            Question("witness.types", "shmalloc, 100 classes known", "one_100"),
            Question("witness.types", CLASSES_10, "one_10"),
            Question("witness.types", "shmalloc, 10 classes, every pair in turn", "all_10"),
            Question("witness.types", "shmalloc, 100 classes, every pair in turn", "all_100"),
            Question("witness.types", "shmalloc, 1,000 classes, every pair in turn", "all_1000"),
        ),
    ),
    Native("ours_hookless", _ours("-DSM_NO_USERLOCK_HOOKS"), (Question("witness.off", HOOKLESS, "pair"),)),
    Native(
        "absl",
        _absl,
        (
            Question("witness.nested", "absl::Mutex", "nested_off"),
            Question("witness.nested", DETECTING, "nested_on"),
            Question("witness.disjoint", DETECTING, "apart_on", "two threads"),
        ),
    ),
    Native("pthread", _pthread, (Question("witness.nested", "pthread mutex", "nested"),)),
    Native("tsan", _tsan, (Question("witness.nested", "pthread mutex, ThreadSanitizer", "nested"),)),
    Native("helgrind", _helgrind, (Question("witness.nested", "pthread mutex, helgrind", "nested"),)),
)
