"""The page is one valid document that loads nothing and shows what was found."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest

from lockgraphs import bank
from shmalloc.stats import MbufStatistics, MbufUse
from shmalloc.who import Holding
from workloads.histogram import BINS
from workloads.records import (
    DeathRecord,
    DemoResult,
    FaultsResult,
    LocksResult,
    RecoveryRecord,
    RunResult,
    decode_result,
    encode_result,
)
from workloads.report.demo_page import demo_page
from workloads.report.histogram_figure import duration_text, histogram_figure, round_durations
from workloads.report.run_page import rates, run_page
from workloads.report.tables import ways_table
from workloads.watching import watch_record

from .conftest import figures

USES = ("mbufs", "clusters", "packets", "jumbop", "jumbo9", "jumbo16", "tags", "extrefs")

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Collects tags and attributes, and tags that were not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        """Compare with what is open."""
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def test_the_page_is_well_formed(result: RunResult) -> None:
    reader = read(run_page(result))
    assert (reader.open, reader.wrong) == ([], [])
    assert reader.tags.count("svg") == 3
    assert reader.tags.count("html") == 1


def test_the_page_loads_nothing(result: RunResult) -> None:
    page = run_page(result)
    reader = read(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    loads = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href", "data", "action")]
    assert loads == []
    assert not re.search(r"url\(|@import", page)


def test_what_was_found_is_on_the_page_and_cannot_act(result: RunResult) -> None:
    page = run_page(result)
    assert "Not clean: 1 violation, 3 leaked items, 1 finding of check" in page
    assert "item 4096 is in two" in page
    assert "&lt;script src=" in page
    assert "<script" not in page


def test_a_clean_run_says_so(result: RunResult) -> None:
    clean = msgspec.structs.replace(result, violations=[], findings=[], leaked_items=0, ok=True)
    page = run_page(clean)
    assert "Clean: 10,000 items verified" in page
    assert "Violations" not in page


def test_both_colour_schemes_are_styled(result: RunResult) -> None:
    assert "prefers-color-scheme: dark" in run_page(result)


def test_a_steady_worker_has_a_steady_rate(result: RunResult) -> None:
    assert rates(result.workers[0], [0.5, 1.0, 1.5, 2.0]) == [5000.0] * 4


def test_a_histogram_without_samples_is_not_drawn() -> None:
    assert histogram_figure([0] * BINS, caption="none") == ""


def test_round_durations_stay_within_their_range() -> None:
    assert round_durations(90, 1100) == [100.0, 200.0, 500.0, 1000.0]
    assert round_durations(90, 2e6) == [100.0, 1e3, 1e4, 1e5, 1e6]


def test_durations_are_written_in_their_unit() -> None:
    assert [duration_text(t) for t in (1, 999, 1500, 2e6, 3e9)] == ["1 ns", "999 ns", "1.5 µs", "2 ms", "3 s"]


def test_a_recovery_is_a_section_with_every_death_and_what_the_survivors_felt(result: RunResult) -> None:
    assert "<h2>Recovery</h2>" not in run_page(result)
    recovery = RecoveryRecord(
        at_s=1.0,
        by="runner",
        deaths=[DeathRecord(cpu=3, pid=4711, name="packets.1", doing="a put into a queue <b>")],
        freed=28,
        kept=0,
        undone=1,
        requeued=2,
        stopped_ns=238_000,
        found_ns=10_600_000,
        zones=[("frame.2048", 28)],
    )
    page = run_page(
        msgspec.structs.replace(result, kills=1, recoveries=[recovery], pause_p99_us=98.3, pause_max_us=24_800.0)
    )
    for text in (
        "<h2>Recovery</h2>",
        "4711",
        "a put into a queue &lt;b&gt;",
        "238 µs",
        "10.6 ms",
        "0.10 ms",
        "24.8 ms",
    ):
        assert text in page
    assert (read(page).open, read(page).wrong) == ([], [])


@pytest.fixture
def leaky(result: RunResult) -> RunResult:
    """A run over mbufs that did a thing in two ways and told of a leak whose site is hostile."""
    use = MbufUse(item_bytes=256, current=0, cache=40, total=40, max=64, denied=1, delayed=2)
    return msgspec.structs.replace(
        result,
        counts={**result.counts, "dropped / m_getcl": 3, "dropped / m_clget": 1234},
        peaks={"longest / m_getcl": 9},
        mbufs=figures(MbufStatistics, **dict.fromkeys(USES, use), types=(0,) * 16),
        holdings=[
            Holding(
                state="held",
                cpu=2,
                pid=77,
                process="leaky",
                alive=True,
                queue=None,
                zone="mbuf_packet",
                type=None,
                site="<script src='http://example.test/y.js'></script>:7 leak",
                allocated_by=77,
                traced=True,
                count=5,
                bytes=1280,
                oldest_s=1.5,
            )
        ],
    )


def test_ways_are_side_by_side_and_what_was_not_counted_for_one_is_zero(leaky: RunResult) -> None:
    table = ways_table(leaky)
    assert [column.head for column in table.columns] == ["FIGURE", "M_CLGET", "M_GETCL"]
    assert table.rows == (("dropped", "1,234", "3"), ("longest", "0", "9"))
    assert ways_table(msgspec.structs.replace(leaky, counts={"sealed": 1}, peaks={})).rows == ()


def test_the_page_shows_mbufs_ways_and_the_leak_and_stays_well_formed(leaky: RunResult) -> None:
    page = run_page(leaky)
    reader = read(page)
    assert (reader.open, reader.wrong) == ([], [])
    for heading in ("Ways compared", "The planted leak", "Mbufs"):
        assert f"<h2>{heading}</h2>" in page
    assert "leaky (pid 77, cpu 2" in page
    assert "out of packet secondary zone in use" in page
    assert not any(name in ("src", "href") for name, _ in reader.attributes)


def test_a_run_without_mbufs_has_no_section_about_them(result: RunResult) -> None:
    page = run_page(result)
    for heading in ("Ways compared", "The planted leak", "Mbufs"):
        assert f"<h2>{heading}</h2>" not in page


def faults() -> FaultsResult:
    """A small campaign that found nothing."""
    return FaultsResult(trials=473, injected=464, findings=0, coverage=75.0, page="out/faults.html", ok=True)


def locks(rip: RunResult, *, told: bool = True) -> LocksResult:
    """The act of the locks: the bank's record, whose one reversal between processes is the first finding, or none."""
    graph = bank()
    if not told:
        graph = msgspec.structs.replace(graph, reversals=())
    return LocksResult(rip=rip, reversal=watch_record(graph), page="out/lock-order.html", ok=told)


def test_the_page_of_the_demo_leads_with_the_first_act_that_is_not_clean(leaky: RunResult, result: RunResult) -> None:
    clean = msgspec.structs.replace(result, ok=True, violations=[], leaked_items=0, findings=[])
    demo = DemoResult(replay=clean, forward=clean, leak=leaky, locks=locks(clean), faults=faults(), ok=False)
    page = demo_page(demo)
    reader = read(page)
    assert (reader.open, reader.wrong) == ([], [])
    assert page.index("<h2>Run</h2>") < page.index("<h2>Forward</h2>") < page.index("<h2>Leak</h2>")
    assert page.index("<h2>Leak</h2>") < page.index("<h2>Locks</h2>")
    assert page.index("Not clean: ") < page.index("<h2>Run</h2>")
    assert page.count("<h2>Leak: The planted leak</h2>") == 1


def test_a_demo_and_a_run_with_mbufs_survive_json(leaky: RunResult) -> None:
    assert decode_result(encode_result(leaky).encode()) == leaky
    demo = DemoResult(replay=leaky, forward=leaky, leak=leaky, locks=locks(leaky), faults=faults(), ok=False)
    assert msgspec.json.decode(encode_result(demo), type=DemoResult) == demo
    assert demo.runs == (leaky, leaky, leaky, leaky)


def test_a_demo_whose_reversal_was_not_told_leads_with_that(result: RunResult) -> None:
    clean = msgspec.structs.replace(result, ok=True, violations=[], leaked_items=0, findings=[])
    told = DemoResult(replay=clean, forward=clean, leak=clean, locks=locks(clean), faults=faults(), ok=True)
    assert "Not found: " not in demo_page(told)
    untold = msgspec.structs.replace(told, ok=False, locks=locks(clean, told=False))
    page = demo_page(untold)
    assert page.index("Not found: the two processes took their locks in opposite order") < page.index("<h2>Run</h2>")
