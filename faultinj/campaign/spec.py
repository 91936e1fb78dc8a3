"""A campaign as its TOML file says it, typed, and wrong files told with file, line, key and what is allowed.

Owns the form of the file. Must not know which scenarios and points there are (`plan.py` asks), nor run anything.

    [campaign]
    name = "nightly"
    engine = "processes:4"         # local | processes:N | dask://host:port
    chunk = 64                     # trials that a worker does between two reports
    imports = ["myproject.faults"] # modules that declare scenarios of their own

    [[sweep]]                      # every scenario with every kind, glob of points and seed
    scenarios = ["zone.*"]
    kinds = ["transient", "kill"]
    points = ["*"]
    seeds = [0, 1]
    n = 500                        # at most so many trials in a cell

    [limits]
    n = 10000                      # the same for every sweep
    seconds = 600                  # a run ends after so long; the next one resumes

    [gate]
    max_findings = 0
    coverage = 0.9                 # share of the points that must have been injected
    points = ["zone.*"]            # every point that these match must have been injected

    [argued]                       # points that cannot be reached here, and why
    "cpu.membarrier" = "this kernel always has it"

    [[suppress]]
    reason = "the bench leaks on purpose"
    scenario = "bench.*"
    finding = "leak"
    expires = 2027-06-30
"""

from __future__ import annotations

import datetime
import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import msgspec

from faultinj.campaign.lines import Key, key_lines, line_of
from faultinj.record import Kind

__all__ = [
    "Campaign",
    "CampaignUnreadable",
    "Gate",
    "General",
    "Limits",
    "Source",
    "Suppression",
    "Sweep",
    "near",
    "parse_campaign",
    "read_campaign",
    "read_text",
    "typed",
]

T = TypeVar("T", bound=msgspec.Struct)
Name = Annotated[str, msgspec.Meta(min_length=1)]
Some = msgspec.Meta(min_length=1)
_MOST = 10**18  # what a database and a worker on the other end can hold
Positive = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class CampaignUnreadable(ValueError):
    """A campaign file, or a regression file, is wrong. Fields: source, line (from 1; 0 means the file as a whole), key
    (the way to the value, dotted), reason."""

    def __init__(self, source: str, line: int, key: str, reason: str) -> None:
        where = f"{source}:{line}" if line else source
        super().__init__(f"{where}: {key}: {reason}" if key else f"{where}: {reason}")
        self.source = source
        self.line = line
        self.key = key
        self.reason = reason


class General(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table [campaign]. `chunk`: trials between two reports of a worker; `imports`: modules that declare
    scenarios."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]+$")]
    about: str = ""
    engine: Name = "local"
    chunk: Positive = 64
    imports: tuple[Name, ...] = ()


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table [[sweep]]: the product of its lists. `scenarios` and `points` are globs; `n`: most trials of a cell."""

    scenarios: Annotated[tuple[Name, ...], Some]
    kinds: Annotated[tuple[Kind, ...], Some] = ("transient", "persistent")
    points: Annotated[tuple[Name, ...], Some] = ("*",)
    seeds: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=_MOST)], ...], Some] = (0,)
    n: Positive | None = None


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table [limits]. `n`: most trials of any cell; `seconds`: how long one run goes on."""

    n: Positive | None = None
    seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table [gate]: what a campaign must come to. `coverage`: share of the points, those argued for left out."""

    max_findings: Annotated[int, msgspec.Meta(ge=0)] = 0
    coverage: Share = 0.0
    points: tuple[Name, ...] = ()


class Suppression(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table [[suppress]]: findings that may stay. All of its globs must match; `expires`: the last day it holds.
    `line`: where the table begins."""

    reason: Name
    scenario: str = "*"
    kind: str = "*"
    finding: str = "*"
    point: str = "*"
    detail: str = "*"
    expires: datetime.date | None = None
    line: int = 0


class Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A campaign file. `argued`: points that cannot be reached, with the reason."""

    campaign: General
    sweep: Annotated[tuple[Sweep, ...], Some]
    limits: Limits = Limits()
    gate: Gate = Gate()
    argued: dict[Name, Name] = {}
    suppress: tuple[Suppression, ...] = ()


class Source:
    """The text that a campaign was read from: knows where a key stands, to name it in an error."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._lines = key_lines(text)

    def line(self, key: Key) -> int:
        """The line of a key, or of what is around it."""
        return line_of(self._lines, key)

    def wrong(self, key: Key, reason: str) -> CampaignUnreadable:
        """The error that names this key."""
        return CampaignUnreadable(self.name, self.line(key), _dotted(key), reason)


def read_campaign(path: Path) -> tuple[Campaign, Source]:
    """Read a campaign file.

    Returns: the campaign, and its source for errors that are found later, such as unknown scenarios.
    Raises: CampaignUnreadable: there is no such file, it is no TOML, or a value is wrong.
    """
    return parse_campaign(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read a TOML file's text. Raises: CampaignUnreadable."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CampaignUnreadable(str(path), 0, "", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CampaignUnreadable(str(path), 0, "", f"is not UTF-8: {error.reason}") from error


def parse_campaign(text: str, name: str) -> tuple[Campaign, Source]:
    """Read a campaign from its text; `name` stands in errors. Raises: CampaignUnreadable."""
    campaign, source = typed(text, name, Campaign)
    rules = tuple(
        msgspec.structs.replace(rule, line=source.line(("suppress", place)))
        for place, rule in enumerate(campaign.suppress)
    )
    for place, rule in enumerate(rules):
        if all(glob == "*" for glob in (rule.scenario, rule.kind, rule.finding, rule.point, rule.detail)):
            conditions = "scenario, kind, finding, point, detail"
            raise source.wrong(
                ("suppress", place), f"the rule would suppress every finding; give at least one of {conditions}"
            )
    return msgspec.structs.replace(campaign, suppress=rules), source


def typed(text: str, name: str, shape: type[T]) -> tuple[T, Source]:
    """Read TOML as a record. Raises: CampaignUnreadable: no TOML, or a value that the record does not allow."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        reason = str(error).removesuffix(place[0]) if place else str(error)
        raise CampaignUnreadable(name, line, "", f"this is no TOML: {reason}") from error
    source = Source(name, text)
    _known_keys(content, shape, (), source)
    try:
        return msgspec.convert(content, shape), source
    except msgspec.ValidationError as error:
        raise _explained(str(error), content, source) from error


def near(name: str, allowed: Iterable[str]) -> str:
    """What to say of a name that is none of `allowed`: those that look like it first, else all."""
    known = list(dict.fromkeys(allowed))
    alike = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if alike:
        return f"did you mean {' or '.join(map(repr, alike))}?"
    return f"there are {', '.join(known)}" if known else "there are none"


def _known_keys(content: object, shape: Any, key: Key, source: Source) -> None:
    """Refuse a key that the record has not, before msgspec does: it can tell the nearest one."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    if not isinstance(content, Mapping):
        return
    for name, value in content.items():
        if name not in fields or name == "line":
            allowed = [field for field in fields if field != "line"]
            reason = f"unknown; {near(name, allowed)}"
            if "did you mean" in reason:
                reason += f" (allowed here: {', '.join(allowed)})"
            raise source.wrong((*key, name), reason)
        for inner in _records_of(fields[name].type):
            if isinstance(value, list):
                for place, element in enumerate(value):
                    _known_keys(element, inner, (*key, name, place), source)
            else:
                _known_keys(value, inner, (*key, name), source)


def _records_of(shape: Any) -> Iterable[type]:
    if isinstance(shape, type) and issubclass(shape, msgspec.Struct):
        yield shape
    for argument in get_args(shape):
        yield from _records_of(argument)


def _explained(text: str, content: object, source: Source) -> CampaignUnreadable:
    """msgspec's words, with the key as a person writes it and what is allowed."""
    reason, _, path = text.partition(" - at `$")
    key = _way(path.removesuffix("`"), content)
    if missing := re.search(r"missing required field `(\w+)`", reason):
        return source.wrong(key, f"{missing[1]!r} is missing")
    if wrong := re.search(r"Invalid enum value '(.*)'", reason):
        return source.wrong(key, f"{wrong[1]!r} is unknown; {near(wrong[1], get_args(Kind))} (kinds: {_kinds()})")
    reason = reason.replace("matching regex", "of the form").replace("`", "")
    return source.wrong(key, reason[0].lower() + reason[1:])


def _kinds() -> str:
    return ", ".join(get_args(Kind))


def _way(path: str, content: object) -> Key:
    """msgspec's path, such as `.sweep[0].kinds[1]`, as a key. `[...]` is some entry of a table: the first wrong one."""
    key: list[str | int] = []
    for name, place in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path):
        if place == "...":
            inside = _at(content, key)
            wrong = [k for k, v in inside.items() if not (isinstance(v, str) and v)] if isinstance(inside, dict) else []
            key += wrong[:1]
        else:
            key.append(name or int(place))
    return tuple(key)


def _at(content: object, key: Iterable[str | int]) -> Any:
    found: Any = content
    for part in key:
        found = found[part]
    return found


def _dotted(key: Key) -> str:
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{plain}" if text else plain
    return text
