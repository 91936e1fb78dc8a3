"""The figures that shmalloc has to reach, as data, and the judge that holds them against a run.

Owns the bounds. Must not measure. A target is a ratio to a peer of the same run wherever one exists: absolute figures
travel badly between machines.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from workloads.bench.catalogue import case, figure
from workloads.bench.records import Sample, Sense, Skip, Verdict


class Target(msgspec.Struct, frozen=True):
    """One bound. sense: ratio_at_most and ratio_below hold ours / peer against it, times_faster peer / ours,
    at_most and at_least the plain figure of ours."""

    case: str
    ours: str
    peer: str | None
    sense: Sense
    bound: float


INLINE = "shmalloc, inline path"
BULK = "shmalloc, bulk calls"
INTOLERANT = "the same without op and state words"
WAIT = "shmalloc, from the kill until a blocked allocation returns"
WAIT_P99 = "shmalloc, the same, 99 of 100"
PAUSE = "shmalloc, longest pause of a busy survivor"
PAUSE_P99 = "shmalloc, the same pause, 99 of 100"
QUEUE = "shmalloc, queue"
DPDK = "DPDK rte_mempool"
GLIBC = "glibc malloc"
GETCL = "m_getcl + m_freem, inline path"
CLGET = "m_gethdr + m_clget + m_freem"
BARE_ZONE = "a bare 2 KiB zone pair"
COPYPACKET = "m_copypacket + m_freem"
PKTMBUF = "DPDK rte_pktmbuf"
PY_GETCL = "m_getcl() dropped"
PY_CLGET = "m_gethdr() and m_clget() dropped"
FORWARD = "shmalloc, forward"
FORWARD_CPU = "shmalloc, the same by CPU time"
DROPPED = "zone.alloc() dropped"
FREED = "zone.alloc().free()"
BYTEARRAY = "bytearray(2048)"
POINT_OFF = "a point, nothing armed"
POINT_IDLE = "a point, armed, nothing set"
POINT_NTH = "a point, armed, with nth(2^40)"
CALLS = "shmalloc, calls"
PROBELESS = "the same without points"
INLINE_PROBELESS = "the inline path without points"
LIBFIU = "libfiu"
SWEPT = "shmalloc, faultinj sweep"
SWEPT_UNWATCHED = "the same without witness as an oracle"
PY_POINT_OFF = "faultinj.point, nothing armed"
PY_EMPTY = "an empty Python function"
BARE = "bare Cython object, from a method"  # as zone.alloc() makes one
ITEM = "Item"
SAME_ON_BYTEARRAY = "bytearray"
EMPTY = "shmalloc, hooks empty"
HOOKLESS = "the same with the hooks compiled out"
WATCH_ADDS = "shmalloc, what watching adds"
WATCHED = "shmalloc, witness on"
CLASSES_10 = "shmalloc, 10 classes known"
CLASSES_1000 = "shmalloc, 1,000 classes known"
REPORTED = "shmalloc, text, JSON and page out of a record"
WATCHED_LOCK = "shmalloc, watched lock"
BARE_LOCK = "bare threading.Lock"
WATCHED_PROGRAM = "shmalloc, under witness run"
BARE_PROGRAM = "the program alone"

TARGETS: tuple[Target, ...] = (
    Target("c.pair", INLINE, DPDK, "ratio_at_most", 1.0),
    Target("c.pair", INLINE, GLIBC, "ratio_at_most", 0.45),
    Target("c.bulk", BULK, None, "at_most", 1.5),
    Target("c.cross", INLINE, DPDK, "ratio_at_most", 1.5),
    Target("c.cross_bulk", BULK, DPDK, "ratio_at_most", 1.5),
    Target("c.scaling", INLINE, None, "at_least", 1.9),
    Target("c.attach", "shmalloc", None, "at_most", 1000.0),
    Target("c.create", "shmalloc", None, "at_most", 5000.0),
    Target("c.create_bytes", "shmalloc", None, "at_most", 2.0 * 1024 * 1024),
    Target("c.overhead_2048", "shmalloc", None, "at_most", 1.5),
    Target("c.overhead_256", "shmalloc", None, "at_most", 8.0),
    Target("recover.cost", INLINE, INTOLERANT, "ratio_at_most", 1.25),
    Target("fault.off", POINT_OFF, None, "at_most", 1.0),
    Target("fault.off", POINT_OFF, LIBFIU, "ratio_below", 1.0),
    Target("fault.pair", CALLS, PROBELESS, "ratio_at_most", 1.02),
    Target("fault.pair", INLINE, INLINE_PROBELESS, "ratio_at_most", 1.02),
    Target("fault.armed", POINT_IDLE, None, "at_most", 15.0),
    Target("fault.armed", POINT_NTH, None, "at_most", 15.0),
    Target("fault.sweep", SWEPT, None, "at_least", 200.0),
    Target("recover.100k", WAIT, None, "at_most", 5000.0),
    Target("recover.100k", WAIT_P99, None, "at_most", 5000.0),
    Target("recover.alone", WAIT, None, "at_most", 5000.0),
    Target("c.getcl", GETCL, BARE_ZONE, "ratio_at_most", 2.0),
    Target("c.getcl", GETCL, CLGET, "times_faster", 1.5),
    Target("c.getcl", GETCL, PKTMBUF, "ratio_at_most", 2.0),
    Target("py.pair", DROPPED, BYTEARRAY, "ratio_at_most", 0.6),
    Target("py.pair", DROPPED, BARE, "ratio_at_most", 1.6),
    Target("py.pair", FREED, BYTEARRAY, "ratio_at_most", 0.8),
    Target("py.bulk", "alloc_many / free_many", None, "at_most", 12.0),
    Target("py.getcl", PY_GETCL, BYTEARRAY, "ratio_at_most", 0.9),
    Target("py.getcl", PY_GETCL, PY_CLGET, "ratio_below", 1.0),
    Target("py.fault", PY_POINT_OFF, PY_EMPTY, "ratio_at_most", 1.0),
    Target("py.slice", ITEM, SAME_ON_BYTEARRAY, "ratio_at_most", 2.0),
    Target("py.assign", ITEM, SAME_ON_BYTEARRAY, "ratio_at_most", 2.0),
    Target("py.read", ITEM, SAME_ON_BYTEARRAY, "ratio_at_most", 2.0),
    Target("py.write", ITEM, SAME_ON_BYTEARRAY, "ratio_at_most", 2.0),
    Target("mbuf.forward", FORWARD, None, "at_least", 1.7),
    Target("witness.lock", WATCHED_LOCK, BARE_LOCK, "ratio_at_most", 4.0),
    Target("witness.lock_with", WATCHED_LOCK, BARE_LOCK, "ratio_at_most", 4.0),
    Target("witness.lock_nested", WATCHED_LOCK, BARE_LOCK, "ratio_at_most", 4.0),
    Target("witness.lock_contended", WATCHED_LOCK, BARE_LOCK, "ratio_at_most", 4.0),
    Target("witness.program", WATCHED_PROGRAM, BARE_PROGRAM, "ratio_at_most", 1.5),
    Target("msg.roundtrip", QUEUE, "kickmsg", "ratio_below", 1.0),
    Target("msg.roundtrip", QUEUE, "multiprocessing.Queue", "times_faster", 20.0),
    Target("msg.stream", QUEUE, "cloudtoid-interprocess", "ratio_below", 1.0),
    Target("witness.off", EMPTY, HOOKLESS, "ratio_at_most", 1.03),
    Target("witness.nested", WATCH_ADDS, None, "at_most", 30.0),
    Target("witness.disjoint", WATCHED, None, "at_least", 1.9),
    Target("witness.types", CLASSES_1000, CLASSES_10, "ratio_at_most", 1.1),
    Target("witness.report", REPORTED, None, "at_most", 5e6),
)


def describe(target: Target) -> str:
    """The target as a sentence."""
    bound = f"{target.bound:g}"
    match target.sense:
        case "ratio_at_most":
            return f"at most {bound}x {target.peer}"
        case "ratio_below":
            return f"faster than {target.peer}"
        case "times_faster":
            return f"at least {bound}x faster than {target.peer}"
        case "at_most":
            return f"at most {figure(target.bound, case(target.case).unit)}"
        case "at_least":
            return f"at least {figure(target.bound, case(target.case).unit)}"


def value_of(target: Target, ours: float, peer: float | None) -> float:
    """The figure to hold against the bound. Raises ValueError: the target needs a peer's figure."""
    if target.sense in ("at_most", "at_least"):
        return ours
    if peer is None:
        raise ValueError(f"{target.case}: {target.sense} needs the figure of {target.peer}")
    return peer / ours if target.sense == "times_faster" else ours / peer


def measured_value(target: Target, ours: Sample, peer: Sample | None) -> float:
    """The figure of a run: from the best of each subject, or for a paired case the median over the turns."""
    if peer is not None and case(target.case).paired and ours.turns and len(ours.turns) == len(peer.turns):
        return statistics.median(value_of(target, a, b) for a, b in zip(ours.turns, peer.turns, strict=True))
    return value_of(target, ours.best, None if peer is None else peer.best)


def met(target: Target, value: float) -> bool:
    """Whether a value reaches the bound."""
    match target.sense:
        case "ratio_at_most" | "at_most":
            return value <= target.bound
        case "ratio_below":
            return value < target.bound
        case "times_faster" | "at_least":
            return value >= target.bound


def judge(
    samples: Iterable[Sample], skips: Iterable[Skip] = (), targets: Sequence[Target] = TARGETS
) -> tuple[Verdict, ...]:
    """A verdict on every target whose case was run; one that lacks a figure is neither met nor missed and says why."""
    found = {(sample.case, sample.subject): sample for sample in samples}
    reasons = {(skip.case, skip.subject): skip.reason for skip in skips}
    cases = {name for name, _ in found} | {name for name, _ in reasons}
    verdicts = []
    for target in targets:
        if target.case not in cases:
            continue
        ours = found.get((target.case, target.ours))
        peer = None if target.peer is None else found.get((target.case, target.peer))
        value: float | None = None
        reason = ""
        if ours is None:
            reason = f"{target.ours}: {reasons.get((target.case, target.ours), 'not measured')}"
        elif target.peer is not None and peer is None:
            reason = f"{target.peer}: {reasons.get((target.case, target.peer), 'not measured')}"
        else:
            value = measured_value(target, ours, peer)
        verdicts.append(
            Verdict(
                case=target.case,
                text=describe(target),
                ours=target.ours,
                peer=target.peer,
                sense=target.sense,
                bound=target.bound,
                value=value,
                met=None if value is None else met(target, value),
                reason=reason,
            )
        )
    return tuple(verdicts)
