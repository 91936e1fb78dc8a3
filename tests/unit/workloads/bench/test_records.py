"""A report survives its JSON, and a file that is none is refused by name and reason."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from workloads.bench.records import FORMAT, BenchReport, Machine, ReportUnreadable, Sample, Skip, load, save, to_json
from workloads.bench.targets import Target, judge

MACHINE = Machine(cpu="a cpu", cores=2, kernel="Linux 6.1", python="CPython 3.11.7", compiler="cc 12")


def report(best: float = 5.0) -> BenchReport:
    samples = (
        Sample(case="c.pair", subject="mine", unit="ns", best=best, median=best + 1, runs=11),
        Sample(case="c.overhead_256", subject="mine", unit="%", best=0.0, median=0.0, runs=1),
    )
    skips = (Skip(case="c.pair", subject="theirs", reason="not installed"),)
    return BenchReport(
        format=FORMAT,
        created="2026-01-01T00:00:00+00:00",
        quick=True,
        repeat=3,
        machine=MACHINE,
        samples=samples,
        skips=skips,
        verdicts=judge(samples, skips, (Target("c.pair", "mine", "theirs", "ratio_at_most", 1.0),)),
    )


def test_saved_report_loads_equal(tmp_path: Path) -> None:
    path = tmp_path / "new" / "directory" / "report.json"
    save(report(), path)
    assert load(path) == report()
    assert load(path).sample("c.pair", "mine") == report().samples[0]
    assert load(path).sample("c.pair", "nobody") is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `format`"),
        (to_json(report()).replace(b'"best": 5.0', b'"best": "fast"'), "samples[0].best"),
        (to_json(report()).replace(b'"unit": "ns"', b'"unit": "furlong"'), "furlong"),
        (to_json(report()).replace(b'"format": 1', b'"format": 99'), "its format is 99"),
        (to_json(report(best=-1.0)), "a figure of -1.0 cannot be"),
    ],
)
def test_what_is_not_a_report_is_refused_with_the_reason(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ReportUnreadable) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)


def test_missing_file_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ReportUnreadable, match="workloads bench --json"):
        load(tmp_path / "absent.json")


def test_json_names_no_host() -> None:
    machine = msgspec.json.decode(to_json(report()))["machine"]
    assert set(machine) == {"cpu", "cores", "kernel", "python", "compiler"}
