"""Plain records of a benchmark run and their JSON.

Owns the shape of the file that `workloads bench --json` writes and `workloads compare` reads. Must not measure, judge
or print: a report can be read where shmalloc is not installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

FORMAT = 1

Unit = Literal["ns", "us", "bytes", "%", "x", "a second"]
MORE_IS_BETTER: frozenset[Unit] = frozenset({"x", "a second"})
Sense = Literal["ratio_at_most", "ratio_below", "times_faster", "at_most", "at_least"]


class ReportUnreadable(Exception):
    """A file is not a benchmark report. Carries path and why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is not a benchmark report: {why}. Make one with: workloads bench --json {path}")
        self.path = path
        self.why = why


def is_ours(subject: str) -> bool:
    """Whether a subject is shmalloc itself; a peer that got slower is no regression."""
    return subject.startswith(("shmalloc", "zone.", "alloc_many", "Item", "m_get"))


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Enough of the machine to judge whether two reports may be compared; no names of hosts or people."""

    cpu: str
    cores: int
    kernel: str
    python: str
    compiler: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One subject's figure in one case: the best and the median of its runs, and all runs in the order of turns."""

    case: str
    subject: str
    unit: Unit
    best: float
    median: float
    runs: int
    turns: tuple[float, ...] = ()
    note: str = ""


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    """A subject that could not be measured in a case, and why."""

    case: str
    subject: str
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One target held against the run. value is a ratio or a plain figure, as the sense says; None: not measured."""

    case: str
    text: str
    ours: str
    peer: str | None
    sense: Sense
    bound: float
    value: float | None
    met: bool | None
    reason: str = ""


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one `workloads bench` found out."""

    format: int
    created: str
    quick: bool
    repeat: int
    machine: Machine
    samples: tuple[Sample, ...]
    skips: tuple[Skip, ...]
    verdicts: tuple[Verdict, ...]

    def sample(self, case: str, subject: str) -> Sample | None:
        """The figure of a subject in a case, None when it was not measured."""
        for sample in self.samples:
            if sample.case == case and sample.subject == subject:
                return sample
        return None


def to_json(report: BenchReport) -> bytes:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def save(report: BenchReport, path: Path) -> None:
    """Writes the report, making the directory if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_json(report))


def load(path: Path) -> BenchReport:
    """Reads a report. Raises ReportUnreadable: no such file, not JSON, another shape, a newer format."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReportUnreadable(path, error.strerror or str(error)) from error
    try:
        report = msgspec.json.decode(raw, type=BenchReport)
    except msgspec.DecodeError as error:  # a ValidationError is one too: its text names the field
        raise ReportUnreadable(path, str(error)) from error
    if report.format != FORMAT:
        raise ReportUnreadable(path, f"its format is {report.format}, this program reads {FORMAT}")
    for sample in report.samples:
        if not sample.best > 0 and sample.unit != "%":
            raise ReportUnreadable(path, f"{sample.case}, {sample.subject}: a figure of {sample.best} cannot be")
    return report
