"""What is measured: the cases, in the order of the table. Owns names, titles, units and how a figure is
written; measures nothing."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from workloads.bench.records import Unit


class Case(msgspec.Struct, frozen=True):
    """A question that several subjects answer.

    paired: two processes answer it. How far apart their cores are (shared cache or not, a virtual machine's placement)
    changes from second to second and costs a factor of three, so a ratio is the median of those of neighbouring runs;
    the best of each would compare one subject's luck with another's."""

    name: str
    title: str
    unit: Unit
    paired: bool = False


CASES: tuple[Case, ...] = (
    Case("c.pair", "C: allocate and free 2 KiB, a pair", "ns"),
    Case("c.singles", "C: 64 single allocations, then 64 single frees, an item", "ns"),
    Case("c.bulk", "C: 64 at a time, allocate and free, an item", "ns"),
    Case("c.getcl", "C: an mbuf with its cluster, got and freed", "ns"),
    Case("c.mcopy", "C: a copy of a packet that shares the cluster, and its end", "ns"),
    Case("c.cross", "C: allocate in one process, free in another, an item", "ns", paired=True),
    Case("c.cross_bulk", "C: the same with bulk calls, an item", "ns", paired=True),
    Case("c.first_use", "C: first use of an item of 2 KiB, its page touched", "ns"),
    Case("c.scaling", "C: churn within the buckets, two processes over one", "x"),
    Case("c.attach", "C: attach to an arena", "us"),
    Case("c.create", "C: create an arena of 64 GiB", "us"),
    Case("c.create_bytes", "C: memory behind an unused arena of 64 GiB", "bytes"),
    Case("c.overhead_2048", "metadata and slack of 2 KiB items", "%"),
    Case("c.overhead_256", "metadata and slack of 256-byte items", "%"),
    Case("recover.cost", "C: what crash tolerance costs a pair", "ns"),
    Case("fault.off", "C: a fault point that is not armed", "ns"),
    Case("fault.pair", "C: what unarmed points cost a pair of calls, 2 KiB", "ns"),
    Case("fault.armed", "C: a fault point that is armed and does not fire", "ns"),
    Case("fault.sweep", "the allocator swept, transient and persistent faults: trials", "a second"),
    Case("recover.1k", "C: death of a CPU that holds 1,000 items, 1,000 others live", "us"),
    Case("recover.10k", "C: the same with 10,000 others live", "us"),
    Case("recover.100k", "C: the same with 100,000 others live", "us"),
    Case("recover.1m", "C: the same with 1,000,000 others live", "us"),
    Case("recover.alone", "C: with 100,000 others live and no supervisor", "us"),
    Case("py.pair", "Python: make and drop 2 KiB", "ns"),
    Case("py.bulk", "Python: 64 at a time, an item", "ns"),
    Case("py.getcl", "Python: an mbuf with its cluster, got and dropped", "ns"),
    Case("py.fault", "Python: a declared point that does not fire", "ns"),
    Case("py.view", "Python: memoryview(item)", "ns"),
    Case("py.slice", "Python: item[a:b], 64 bytes", "ns"),
    Case("py.assign", "Python: item[a:b] = data, 64 bytes", "ns"),
    Case("py.read", "Python: item.read(64, offset)", "ns"),
    Case("py.write", "Python: item.write(data, offset), 64 bytes", "ns"),
    Case("mbuf.forward", "Python: a capture forwarded packet by packet, two processes over one", "x"),
    Case("witness.lock", "threading.Lock under witness run: acquire and release", "ns"),
    Case("witness.lock_with", "the same: a with statement", "ns"),
    Case("witness.lock_nested", "the same: one lock in another", "ns"),
    Case("witness.lock_contended", "the same: two threads share a lock", "ns"),
    Case("witness.program", "the interpreter's own test_queue under witness run", "us"),
    Case("msg.roundtrip", "2 KiB to another process and back", "ns", paired=True),
    Case("msg.stream", "a stream of 2 KiB messages, each", "ns", paired=True),
    Case("witness.off", "C: a mutex of the arena taken and given back, nobody watches", "ns"),
    Case("witness.nested", "C: two nested mutexes taken and given back, the order known", "ns"),
    Case("witness.disjoint", "C: the same by two processes with mutexes of their own, over one", "x"),
    Case("witness.types", "C: the check of one lock under another", "ns"),
    Case("witness.report", "a report of 1,000 lock classes and 20,000 orders", "us"),
)


def case(name: str) -> Case:
    """The case of that name. Raises KeyError: there is none."""
    for each in CASES:
        if each.name == name:
            return each
    raise KeyError(name)


def figure(value: float, unit: Unit) -> str:
    """A figure with its unit, at three significant digits or to the whole KiB."""
    if unit in ("ns", "us"):
        ns = value if unit == "ns" else value * 1e3
        for scale, name in ((1.0, "ns"), (1e3, "us"), (1e6, "ms")):
            if ns < scale * 1e3:
                return f"{ns / scale:.3g} {name}"
        return f"{ns / 1e9:.3g} s"
    if unit == "bytes":
        return f"{value / 1024:,.0f} KiB"
    if unit == "a second":
        return f"{value:,.0f} a second"
    return f"{value:.2f} %" if unit == "%" else f"{value:.2f}x"


def wanted(only: str | None, case_name: str) -> bool:
    """Whether a glob such as "py.*" asks for a case."""
    return only is None or fnmatchcase(case_name, only)
