"""Findings that a project has decided to live with: a TOML file of rules, each with its reason and, if wished, an end.

Owns the file's form and the matching. A rule that has expired suppresses nothing and is told; so is one that matched
nothing. All conditions of a rule must hold:

    [[suppress]]
    reason = "the bench makes both orders in one thread"   # required
    rule = "lock-order-*"          # the finding's rule
    classes = ["cache-*", "zone"]  # each matches a class of the finding
    file = "tests/*"               # a frame of the finding lies there ...
    function = "bench_*"           # ... and is this function, the same frame
    expires = 2027-06-30           # the last day on which it holds
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from witness.analysis.findings import Finding
from witness.analysis.ordergraph import OrderGraph, stable_name

__all__ = ["Sifted", "Suppression", "SuppressionsUnreadable", "read_suppressions", "sift"]

_CONDITIONS = ("rule", "classes", "file", "function")


class SuppressionsUnreadable(ValueError):
    """A suppression file is wrong. Carries `source`, `line` (from 1; 0 when the file as a whole is meant), `reason`."""

    def __init__(self, source: str, line: int, reason: str) -> None:
        super().__init__(f"{source}:{line}: {reason}" if line else f"{source}: {reason}")
        self.source = source
        self.line = line
        self.reason = reason


class Suppression(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule of the file. `line` is where it begins."""

    reason: str
    rule: str | None = None
    classes: tuple[str, ...] = ()
    file: str | None = None
    function: str | None = None
    expires: datetime.date | None = None
    line: int = 0

    def matches(self, finding: Finding, order: OrderGraph) -> bool:
        """Whether every condition holds for the finding; its expiry is not asked."""
        names = [{order.classes[one].name, stable_name(order.classes[one])} for one in finding.classes]
        return (
            (self.rule is None or fnmatchcase(finding.rule, self.rule))
            and all(any(fnmatchcase(n, glob) for both in names for n in both) for glob in self.classes)
            and ((self.file is None and self.function is None) or self._somewhere(finding))
        )

    def _somewhere(self, finding: Finding) -> bool:
        return any(
            (self.file is None or fnmatchcase(frame.file, self.file) or fnmatchcase(frame.file, f"*/{self.file}"))
            and (self.function is None or fnmatchcase(frame.function, self.function))
            for side in finding.sides
            for frame in side.stack
        )


@dataclass(frozen=True, slots=True)
class Sifted:
    """Findings after the rules. `expired` are the rules past their day, `unused` the others that matched nothing."""

    kept: tuple[Finding, ...]
    suppressed: tuple[tuple[Finding, Suppression], ...]
    expired: tuple[Suppression, ...]
    unused: tuple[Suppression, ...]


def sift(
    findings: Sequence[Finding], order: OrderGraph, suppressions: Sequence[Suppression], *, today: datetime.date
) -> Sifted:
    """Take out what the rules suppress; where several match, the first one of the file counts as used."""
    expired = tuple(rule for rule in suppressions if rule.expires is not None and rule.expires < today)
    valid = [rule for rule in suppressions if rule not in expired]
    kept, suppressed, used = [], [], set()
    for finding in findings:
        by = next((at for at, rule in enumerate(valid) if rule.matches(finding, order)), None)
        if by is None:
            kept.append(finding)
        else:
            used.add(by)
            suppressed.append((finding, valid[by]))
    unused = tuple(rule for at, rule in enumerate(valid) if at not in used)
    return Sifted(tuple(kept), tuple(suppressed), expired, unused)


def read_suppressions(path: Path) -> tuple[Suppression, ...]:
    """Read the rules of a file, in its order.

    Raises: SuppressionsUnreadable: the file cannot be read, is no TOML, or a rule is wrong; names the line.
    """
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuppressionsUnreadable(source, 0, f"the suppressions cannot be read: {error}") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        raise SuppressionsUnreadable(source, line, f"this is no TOML: {error}") from error
    for key in content.keys() - {"suppress"}:
        raise SuppressionsUnreadable(
            source, _line_of(text, key, 0), f"{key!r} is unknown: rules begin with [[suppress]]"
        )
    tables = content.get("suppress", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SuppressionsUnreadable(
            source, _line_of(text, "suppress", 0), "rules begin with [[suppress]], twice bracketed"
        )
    heads = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*suppress\s*\]\]", line)]
    return tuple(_rule(source, text, heads[at] if at < len(heads) else 0, table) for at, table in enumerate(tables))


def _rule(source: str, text: str, head: int, table: dict[str, object]) -> Suppression:
    def wrong(key: str, reason: str) -> SuppressionsUnreadable:
        return SuppressionsUnreadable(source, _line_of(text, key, head), reason)

    known = ("reason", *_CONDITIONS, "expires")
    for key in table:
        if key not in known:
            raise wrong(key, f"a rule has no {key!r}: it may have {', '.join(known)}")
    reason = table.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise wrong("reason", "the rule gives no reason: say in `reason` why the finding may stay")
    if not any(table.get(condition) for condition in _CONDITIONS):
        raise wrong("reason", f"the rule would suppress everything: give one of {', '.join(_CONDITIONS)}")
    for key in table:
        try:
            msgspec.convert({"reason": reason, key: table[key]}, Suppression)
        except msgspec.ValidationError as error:
            raise wrong(key, f"{key}: {str(error).split(' - at')[0]}") from error
        if isinstance(table[key], datetime.datetime):
            raise wrong(key, f"{key}: a date without a time, as 2027-06-30")
    return msgspec.convert({**table, "line": head}, Suppression)


def _line_of(text: str, key: str, head: int) -> int:
    """The line of `key` in the table that begins on line `head`; the table's own line when it is not there."""
    for number, line in enumerate(text.splitlines()[head:], head + 1):
        if head and re.match(r"\s*\[", line):
            break
        if re.match(rf"\s*(\[+\s*)?[\"']?{re.escape(key)}\b", line):
            return number
    return head
