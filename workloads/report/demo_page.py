"""The page of the demo: the replay with its deaths first, then forwarding, then the leak that was found.

Owns the order of the acts. What a run looks like is run_page.py's.
"""

from __future__ import annotations

from dataclasses import replace

from shmalloc.report.page import Section, render_page
from workloads.records import DemoResult, RunResult
from workloads.report.run_page import facts_section, mbuf_sections, run_sections, throughput
from workloads.report.tables import verdict

_FORWARD = (
    "The same capture through mbufs: received into clusters, a header prepended, pulled up, split, both pieces queued "
    "to another process, joined, verified byte by byte and freed there."
)
_LEAK = "One process never frees every hundredth reply. A traced arena tells which process, and from which line."


def demo_page(demo: DemoResult) -> str:
    """The whole page as text."""
    sections = [
        *run_sections(demo.replay),
        *_act("Forward", _FORWARD, demo.forward),
        *_act("Leak", _LEAK, demo.leak),
    ]
    bad = [run for run in demo.acts if not run.ok]
    lead = verdict(bad[0] if bad else demo.replay)
    return render_page(f"shmalloc: demo on {demo.replay.cpus} processes", sections, lead=lead, good=demo.ok)


def _act(name: str, note: str, result: RunResult) -> list[Section]:
    facts = facts_section(result)
    return [
        Section(name, note=f"{note} {verdict(result)}", facts=facts.facts),
        *(replace(section, heading=f"{name}: {section.heading}") for section in throughput(result)),
        *(replace(section, heading=f"{name}: {section.heading}") for section in mbuf_sections(result)),
    ]
