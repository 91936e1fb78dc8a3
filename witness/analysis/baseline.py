"""The findings a project already knows: a small file to commit, and the difference to it.

Owns the file's form: JSON, one finding a line, sorted, without pids, times or stacks, so that it changes only when
the findings do. A graph record is accepted in its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from witness.analysis.findings import Finding, analyse
from witness.record import Graph, GraphUnreadable, from_json

__all__ = ["BASELINE_VERSION", "Baseline", "Difference", "KnownFinding", "compare", "read_baseline", "write_baseline"]

BASELINE_VERSION = 1


class KnownFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finding as the baseline keeps it: the key that a run has in common with others, and words for people."""

    key: str
    title: str


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The findings that are known."""

    baseline_version: int
    findings: tuple[KnownFinding, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Findings against a baseline: `new` are not in it, `known` are, and `gone` are in it alone."""

    new: tuple[Finding, ...]
    known: tuple[Finding, ...]
    gone: tuple[KnownFinding, ...]


def read_baseline(path: Path) -> Baseline:
    """Read a baseline, or a graph record whose findings then are the known ones.

    Raises: GraphUnreadable: neither of the two, or of another version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GraphUnreadable(str(path), f"the baseline cannot be read: {error.strerror}") from error
    try:
        baseline = msgspec.json.decode(data, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            graph: Graph = from_json(data, source=str(path))
        except GraphUnreadable:
            raise GraphUnreadable(
                str(path),
                f"this is neither a baseline ({error}) nor a graph record; "
                "`witness report --write-baseline FILE` makes one",
            ) from error
        return of_findings(analyse(graph).findings)
    if baseline.baseline_version != BASELINE_VERSION:
        raise GraphUnreadable(
            str(path),
            f"the baseline has version {baseline.baseline_version} and this witness reads {BASELINE_VERSION}: "
            "write it again with --write-baseline",
        )
    return baseline


def of_findings(findings: Iterable[Finding]) -> Baseline:
    """The baseline that knows exactly these findings."""
    known = {finding.key: KnownFinding(finding.key, finding.title) for finding in findings}
    return Baseline(BASELINE_VERSION, tuple(known[key] for key in sorted(known)))


def write_baseline(path: Path, findings: Iterable[Finding]) -> None:
    """Write the findings as the known ones."""
    lines = ",\n".join(
        "  " + json.dumps({"key": known.key, "title": known.title}, ensure_ascii=False)
        for known in of_findings(findings).findings
    )
    body = f"[\n{lines}\n ]" if lines else "[]"
    path.write_text(f'{{"baseline_version": {BASELINE_VERSION},\n "findings": {body}}}\n', encoding="utf-8")


def compare(findings: Sequence[Finding], baseline: Baseline) -> Difference:
    """Tell new findings from known ones by their keys, and say which known ones are gone."""
    known = {entry.key for entry in baseline.findings}
    seen = {finding.key for finding in findings}
    return Difference(
        new=tuple(finding for finding in findings if finding.key not in known),
        known=tuple(finding for finding in findings if finding.key in known),
        gone=tuple(entry for entry in baseline.findings if entry.key not in seen),
    )
