"""The page of the demo: the replay with its deaths first, then forwarding, the leak that was found, and the locks.

Owns the order of the acts. What a run looks like is run_page.py's.
"""

from __future__ import annotations

from dataclasses import replace

from shmalloc.report.page import Section, render_page
from workloads.records import DemoResult, FaultsResult, LocksResult, RunResult, WatchRecord
from workloads.report.run_page import facts_section, mbuf_sections, run_sections, throughput
from workloads.report.tables import reversal_verdict, verdict, watch_table, watch_text

_FORWARD = (
    "The same capture through mbufs: received into clusters, a header prepended, pulled up, split, both pieces queued "
    "to another process, joined, verified byte by byte and freed there."
)
_LEAK = "One process never frees every hundredth reply. A traced arena tells which process, and from which line."
_LOCKS = (
    "A routing daemon asks for memory with M_WAITOK while it holds a lock; half of the time witness forces M_NOWAIT, "
    "and the failure path goes on."
)
_FAULTS = (
    "What can fail in a few operations was made to fail, one place after the other, once and from then on, and the "
    "process was killed at its crash points; after each of these runs everything was looked at."
)


def demo_page(demo: DemoResult) -> str:
    """The whole page as text."""
    sections = [
        *run_sections(demo.replay),
        *_act("Forward", _FORWARD, demo.forward),
        *_act("Leak", _LEAK, demo.leak),
        *_locks(demo.locks),
        _faults(demo.faults),
    ]
    bad = [verdict(run) for run in demo.runs if not run.ok]
    if not demo.locks.ok:
        bad.append(reversal_verdict(demo.locks.reversal))
    if not demo.faults.ok:
        bad.append(f"{demo.faults.findings} findings after injected faults")
    lead = bad[0] if bad else verdict(demo.replay)
    return render_page(f"shmalloc: demo on {demo.replay.cpus} processes", sections, lead=lead, good=demo.ok)


def _act(name: str, note: str, result: RunResult) -> list[Section]:
    facts = facts_section(result)
    return [
        Section(name, note=f"{note} {verdict(result)}", facts=facts.facts),
        *(replace(section, heading=f"{name}: {section.heading}") for section in throughput(result)),
        *(replace(section, heading=f"{name}: {section.heading}") for section in mbuf_sections(result)),
    ]


def _locks(locks: LocksResult) -> list[Section]:
    watched = [] if locks.rip.witness is None else [_watched("Locks: M_WAITOK under a lock", locks.rip.witness)]
    return [
        *_act("Locks", _LOCKS, locks.rip),
        *watched,
        _watched("Locks: a reversal between two processes", locks.reversal, reversal_verdict(locks.reversal)),
    ]


def _faults(faults: FaultsResult) -> Section:
    facts = (
        ("trials", f"{faults.trials:,}"),
        ("faults injected", f"{faults.injected:,}"),
        ("points injected at", f"{faults.coverage:.1f} %"),
        ("findings", f"{faults.findings}"),
    )
    return Section("Faults", note=f"{_FAULTS} The coverage page beside this one has every point.", facts=facts)


def _watched(heading: str, record: WatchRecord, note: str = "") -> Section:
    return Section(
        heading,
        note=f"{note} {watch_text(record)}. The lock-order page beside this one has stacks and graph.".lstrip(),
        table=watch_table(record),
    )
