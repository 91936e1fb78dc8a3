"""Whether a campaign's result is good enough: suppressions, then the gate. Owns the judgement; runs and prints
nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

from faultinj.campaign.plan import chosen
from faultinj.campaign.spec import Gate, Suppression
from faultinj.record import Finding, Outcome, SweepResult

__all__ = ["Sifted", "judge_gate", "sift"]


class Sifted(msgspec.Struct, frozen=True, kw_only=True):
    """Findings after the rules. `expired`: rules past their day, which suppress nothing; `unused`: those that matched
    nothing."""

    kept: tuple[tuple[Outcome, Finding], ...]
    suppressed: tuple[tuple[Outcome, Finding, Suppression], ...]
    expired: tuple[Suppression, ...]
    unused: tuple[Suppression, ...]


def sift(outcomes: Iterable[Outcome], rules: Sequence[Suppression], *, today: datetime.date) -> Sifted:
    """Take out the findings that the rules suppress; where several match, the first of the file counts as used."""
    expired = tuple(rule for rule in rules if rule.expires is not None and rule.expires < today)
    valid = [rule for rule in rules if rule not in expired]
    kept, suppressed = [], []
    for outcome in outcomes:
        for finding in outcome.findings:
            by = next((rule for rule in valid if _matches(rule, outcome, finding)), None)
            if by is None:
                kept.append((outcome, finding))
            else:
                suppressed.append((outcome, finding, by))
    used = {id(by) for _, _, by in suppressed}
    unused = tuple(rule for rule in valid if id(rule) not in used)
    return Sifted(kept=tuple(kept), suppressed=tuple(suppressed), expired=expired, unused=unused)


def _matches(rule: Suppression, outcome: Outcome, finding: Finding) -> bool:
    return (
        fnmatchcase(outcome.trial.scenario, rule.scenario)
        and fnmatchcase(outcome.trial.kind, rule.kind)
        and fnmatchcase(finding.kind, rule.finding)
        and fnmatchcase(finding.detail, rule.detail)
        and (rule.point == "*" or any(fnmatchcase(one.point, rule.point) for one in outcome.injected))
    )


def judge_gate(gate: Gate, result: SweepResult, findings: int, unfinished: int) -> tuple[str, ...]:
    """What the gate has against a result.

    Parameters: findings: how many are left after the suppressions; unfinished: cells that are not at their end.
    Returns: a sentence for each; empty when the campaign passes.
    """
    said = []
    if findings > gate.max_findings:
        said.append(f"{findings} findings, and {gate.max_findings} are allowed")
    if not unfinished and result.empty:
        said.append(f"nothing was ever injected into {', '.join(result.empty)}: these scenarios prove nothing")
    countable = [row for row in result.points if row.point not in result.argued or row.injected]
    covered = [row for row in countable if row.injected]
    share = len(covered) / len(countable) if countable else 1.0
    more = f"; {unfinished} cells are unfinished" if unfinished else ""
    if share < gate.coverage:
        covers = f"{len(covered)} of {len(countable)} points were injected, {share:.1%}"
        said.append(f"{covers}, and {gate.coverage:.1%} are asked{more}")
    injected = {row.point for row in covered}
    missing = [p for p in chosen(gate.points, (row.point for row in result.points)) if p not in injected]
    if missing:
        said.append(f"never injected, though asked for: {', '.join(missing)}{more}")
    return tuple(said)
