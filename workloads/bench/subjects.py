"""The C programs and what each of them answers. Owns the list of native subjects and where their libraries come from;
runs nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from workloads.bench.build import Unavailable, build_program, find_compiler, pkg_config
from workloads.bench.faults import fault_program, fiu_program
from workloads.bench.targets import (
    BARE_ZONE,
    BULK,
    CALLS,
    CLGET,
    COPYPACKET,
    DPDK,
    GETCL,
    GLIBC,
    INLINE,
    INLINE_PROBELESS,
    INTOLERANT,
    LIBFIU,
    PAUSE,
    PAUSE_P99,
    PKTMBUF,
    POINT_IDLE,
    POINT_NTH,
    POINT_OFF,
    PROBELESS,
    WAIT,
    WAIT_P99,
)  # fmt: skip


class Question(msgspec.Struct, frozen=True):
    """One case that a program answers under a subject's name."""

    case: str
    subject: str
    command: str
    note: str = ""


class Launch(msgspec.Struct, frozen=True):
    """A built program, the environment it needs, and the command that runs it, if it is not run by itself."""

    path: Path
    environment: dict[str, str] = {}
    through: tuple[str, ...] = ()


class Native(msgspec.Struct, frozen=True):
    """A program of workloads/bench/c: how to get it, and its questions."""

    name: str
    prepare: Callable[[Path], Launch]
    questions: tuple[Question, ...]


def _ours(source: str) -> Callable[[Path], Launch]:
    def prepare(cache: Path) -> Launch:
        return Launch(build_program(source, cache=cache, with_core=True))

    return prepare


def _intolerant(cache: Path) -> Launch:
    # The same sources, with the fast path's op and state words compiled out: see core/cache.h.
    return Launch(build_program("ours_pair.c", cache=cache, flags=("-DSM_NO_CRASH_TOLERANCE",), with_core=True))


def _fault(cache: Path) -> Launch:
    return Launch(fault_program(cache))


def _probeless(cache: Path) -> Launch:
    return Launch(fault_program(cache, without_points=True))


def _fiu(cache: Path) -> Launch:
    return Launch(fiu_program(cache))


def _malloc(library: str | None, package: str) -> Callable[[Path], Launch]:
    def prepare(cache: Path) -> Launch:
        program = build_program("peer_malloc.c", cache=cache, flags=("-fno-builtin-malloc", "-fno-builtin-free"))
        if library is None:
            return Launch(program, {"LD_PRELOAD": ""})
        return Launch(program, {"LD_PRELOAD": str(shared_library(library, package=package))})

    return prepare


def _dpdk(cache: Path) -> Launch:
    flags = pkg_config("libdpdk", package="libdpdk-dev")
    program = build_program(
        "peer_dpdk.c", cache=cache, flags=flags, libraries=("-lrte_mbuf", "-lrte_mempool", "-lrte_ring", "-lrte_eal")
    )
    return Launch(program)


def _boost(cache: Path) -> Launch:
    if not any(Path(place, "boost/interprocess").is_dir() for place in ("/usr/include", "/usr/local/include")):
        raise Unavailable("not installed: apt package libboost-dev")
    return Launch(build_program("peer_boost.cpp", cache=cache))


def shared_library(stem: str, *, package: str) -> Path:
    """Path of a library that the dynamic linker knows. Raises Unavailable: it knows none of that name."""
    tool = find_compiler("ldconfig", "/sbin/ldconfig")
    if tool is not None:
        told = subprocess.run([tool, "-p"], capture_output=True, text=True, timeout=20, check=False)
        for line in told.stdout.splitlines():
            name, _, path = line.strip().partition(" => ")
            if name.startswith(f"{stem}.so"):
                return Path(path)
    raise Unavailable(f"not installed: apt package {package}")


_RECOVERED = {"k1": "1k", "k10": "10k", "k100": "100k", "m1": "1m"}
_FELT = {"wait_p50": WAIT, "wait_p99": WAIT_P99, "pause_p50": PAUSE, "pause_p99": PAUSE_P99}


def _recovery_questions() -> tuple[Question, ...]:
    return (
        *tuple(
            Question(f"recover.{live}", subject, f"{command}_{figure}", "25 deaths")
            for command, live in _RECOVERED.items()
            for figure, subject in _FELT.items()
        ),
        Question("recover.alone", WAIT, "alone_wait_p50", "25 deaths"),
        Question("recover.alone", WAIT_P99, "alone_wait_p99", "25 deaths"),
    )


_MALLOC = ("pair", "singles")


def _malloc_questions(subject: str) -> tuple[Question, ...]:
    return tuple(Question(f"c.{name}", subject, name) for name in _MALLOC)


NATIVES: tuple[Native, ...] = (
    Native(
        "ours_pair",
        _ours("ours_pair.c"),
        (
            Question("c.pair", INLINE, "pair"),
            Question("c.pair", "shmalloc, calls", "pair_call"),
            Question("c.singles", INLINE, "singles"),
            Question("c.bulk", BULK, "bulk"),
            Question("c.first_use", "shmalloc, cold", "cold", "new pages"),
            Question("c.first_use", "shmalloc, after prealloc", "prealloc"),
            Question("recover.cost", INLINE, "pair"),
        ),
    ),
    Native(
        "ours_mbuf",
        _ours("ours_mbuf.c"),
        (
            Question("c.getcl", GETCL, "inline"),
            Question("c.getcl", "m_getcl + m_freem, calls", "getcl"),
            Question("c.getcl", CLGET, "clget"),
            Question("c.getcl", BARE_ZONE, "zone"),
            Question("c.mcopy", COPYPACKET, "copy"),
        ),
    ),
    Native("ours_pair_intolerant", _intolerant, (Question("recover.cost", INTOLERANT, "pair"),)),
    Native("ours_recover", _ours("ours_recover.c"), _recovery_questions()),
    Native("ours_fault", _fault, (
        Question("fault.off", POINT_OFF, "off"),
        Question("fault.pair", CALLS, "call"),
        Question("fault.pair", INLINE, "inline"),
        Question("fault.pair", "shmalloc, calls, armed, nothing set", "armed_call"),
        Question("fault.armed", POINT_IDLE, "armed"),
        Question("fault.armed", POINT_NTH, "set"),
        Question("fault.armed", "a point, armed, for another zone", "filtered"),
    )),
    Native("ours_fault_probeless", _probeless, (
        Question("fault.pair", PROBELESS, "call"),
        Question("fault.pair", INLINE_PROBELESS, "inline"),
    )),
    Native("fiu", _fiu, (
        Question("fault.off", LIBFIU, "off"),
        Question("fault.armed", LIBFIU, "armed", "enabled at a probability of 0"),
    )),
    Native("glibc", _malloc(None, "libc6"), _malloc_questions(GLIBC)),
    Native("dpdk", _dpdk, (
        Question("c.pair", DPDK, "pair"),
        Question("c.getcl", PKTMBUF, "packet", "rte_pktmbuf_alloc and _free"),
        Question("c.bulk", DPDK, "bulk"),
        Question("c.cross", DPDK, "cross", "fork, a cache each, rte_ring by 64"),
        Question("c.cross_bulk", DPDK, "cross_bulk", "fork, a cache each, rte_ring by 64"),
    )),
    Native("tcmalloc", _malloc("libtcmalloc_minimal", "libtcmalloc-minimal4"), _malloc_questions("tcmalloc")),
    Native("jemalloc", _malloc("libjemalloc", "libjemalloc2"), _malloc_questions("jemalloc")),
    Native("mimalloc", _malloc("libmimalloc", "libmimalloc2.0"), _malloc_questions("mimalloc")),
    Native("boost", _boost, (
        Question("c.pair", "Boost cached_adaptive_pool", "pair"),
        Question("c.pair", "Boost managed_shared_memory", "segment"),
        Question("c.singles", "Boost cached_adaptive_pool", "singles"),
        Question("c.cross", "Boost cached_adaptive_pool", "cross", "a one-to-one ring of offsets"),
    )),
    Native(
        "ours_duo",
        _ours("ours_duo.c"),
        (
            Question("c.cross", INLINE, "cross", "queue by 64"),
            Question("c.cross_bulk", BULK, "cross_bulk", "queue by 64"),
            Question("c.scaling", INLINE, "scaling"),
        ),
    ),
    Native(
        "ours_arena",
        _ours("ours_arena.c"),
        (
            Question("c.attach", "shmalloc", "attach"),
            Question("c.create", "shmalloc", "create"),
            Question("c.create_bytes", "shmalloc", "create_bytes"),
            Question("c.overhead_2048", "shmalloc", "overhead_2048"),
            Question("c.overhead_256", "shmalloc", "overhead_256"),
        ),
    ),
)  # fmt: skip
