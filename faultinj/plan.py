"""A plan made ready for a block: names resolved, errors looked up, programs compiled into the bytes that C evaluates.

Owns what a program may say at which point. Must not read text: ``grammar`` does.
"""

import difflib
import errno
import fnmatch
import re
from collections.abc import Iterable
from dataclasses import replace

from faultinj import _faultinj
from faultinj._faultinj import CORE_POINTS
from faultinj.program import Filter, Program, Setting, Term
from shmalloc import _native

__all__ = ["CRASH_POINT", "PlanError", "UnknownPoint", "compiled", "error_code", "matching"]

CRASH_POINT = "crash.step"
"""The point that every crash point of the core reaches: between two steps, where nothing can be reported."""

_SM_CODES = {name: number for number, (name, _) in enumerate(_native.errors())}
_ERRNOS = {name: number for number, name in errno.errorcode.items()}
_BITS = {
    "percent": 1, "count": 2, "times": 2, "nth": 4, "every": 8, "interval": 16, "space": 32,
    "pid": 64, "cpu": 128, "zone": 256, "size": 512, "flags": 1024, "stack": 2048, "!stack": 4096, "step": 8192,
}  # fmt: skip
_FIELDS = {"percent": "millionths", "times": "count", "zone": "subject", "!stack": "stack", "flags": "want"}
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_DEFAULT, _SM, _ERRNO, _NUMBER = range(4)
_CORE_ERRNOS = tuple(errno.errorcode[number] for number in _faultinj.CORE_ERRNOS)
"""What the core's points translate into its own codes."""


class PlanError(ValueError):
    """A plan that cannot be set: ``point`` is where, ``reason`` why."""

    def __init__(self, point: str, reason: str) -> None:
        self.point = point
        self.reason = reason
        super().__init__(f"{point}: {reason}" if point else reason)


class UnknownPoint(PlanError):
    """No point has this name: ``near`` are those that are spelt alike."""

    def __init__(self, name: str, names: Iterable[str]) -> None:
        self.near = tuple(difflib.get_close_matches(name, list(names), 3))
        hint = f"; did you mean {' or '.join(self.near)}?" if self.near else ""
        super().__init__("", f"no point is called {name!r}{hint or ';'} `faultinj points` lists them all")


def matching(glob: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that a name or glob stands for, which may be none."""
    return tuple(name for name in names if name == glob or fnmatch.fnmatchcase(name, glob))


def error_code(text: str) -> tuple[int, int]:
    """(kind, number) of what ``return(...)`` is given: an SM_ name, an errno name, or a number.

    Raises: PlanError: no such name.
    """
    if text in _SM_CODES:
        return _SM, _SM_CODES[text]
    if text in _ERRNOS:
        return _ERRNO, _ERRNOS[text]
    if _WHOLE.fullmatch(text):
        if not -(1 << 31) <= int(text) < 1 << 31:
            raise PlanError("", f"return({text}): expected a code that a C int can hold")
        return _NUMBER, int(text)
    near = difflib.get_close_matches(text, [*_SM_CODES, *_ERRNOS], 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise PlanError("", f"return({text}): there is no such error code or errno{hint}")


def compiled(setting: Setting, block: _faultinj.Block) -> dict[int, bytes]:
    """What Block.program is to be given for each point that the setting stands for.

    Raises: UnknownPoint; PlanError: the program makes no sense at one of these points.
    """
    names = block.names()
    found = matching(setting.points, names)
    if not found:
        raise UnknownPoint(setting.points, names)
    if len(found) > 1 and CRASH_POINT in found and setting.points == "*":
        found = tuple(name for name in found if name != CRASH_POINT)  # what all have in common it has not
    if setting.points in found:  # of a glob's points some may have what is asked for
        _filters_apply(setting.points, setting.program, names)
    return {names.index(name): _encoded(name, setting.program, names) for name in found}


def _filters_apply(name: str, program: Program, names: tuple[str, ...]) -> None:
    """Raises: PlanError: a filter lets nobody through at this point, whatever happens."""
    for kind in {part.kind for term in program.terms for part in term.filters}:
        if kind == "step" and name != CRASH_POINT:
            raise PlanError(
                name, f"[step N] is for {CRASH_POINT}: no other point has steps, and this would never happen"
            )
        if kind in ("cpu", "flags") and name not in names[:CORE_POINTS]:
            raise PlanError(
                name,
                f"[{kind} ...] is for the allocator's points: a declared one has none; filter by zone, size or pid",
            )


def _encoded(name: str, program: Program, names: tuple[str, ...]) -> bytes:
    """The point's own program, then a template for each point that an arm of it stands for."""
    flat = _flat(program, names)
    templates: list[tuple[bytes, list[dict[str, int | bytes]]]] = []
    terms = []
    for term in flat.terms:
        fields = _fields(name, term, names)
        if isinstance(term.argument, Setting):
            target = term.argument.points
            templates.append(
                (str(term.argument.program).encode(), [_fields(target, t, names) for t in term.argument.program.terms])
            )
            fields |= {"target": names.index(target), "template": len(templates)}
        terms.append(fields)
    try:
        return _faultinj.encoded([(str(program).encode(), terms), *templates])
    except ValueError as error:
        raise PlanError(name, str(error)) from error


def _flat(program: Program, names: tuple[str, ...]) -> Program:
    """Arms of one point each: a glob would need several things to happen at once."""
    terms: list[Term] = []
    for term in program.terms:
        if isinstance(term.argument, Setting):
            found = matching(term.argument.points, names)
            if not found:
                raise UnknownPoint(term.argument.points, names)
            if len(found) > 1:
                raise PlanError(
                    term.argument.points,
                    f"arm() arms one point, and this stands for {len(found)}: name one of {', '.join(found)}",
                )
            term = replace(term, argument=Setting(found[0], term.argument.program))
        terms.append(term)
    return Program(tuple(terms))


def _fields(name: str, term: Term, names: tuple[str, ...]) -> dict[str, int | bytes]:
    core = name in names[:CORE_POINTS]
    if core and term.action in ("raise", "callback"):
        raise PlanError(name, f"{term.action} needs Python, and this is a point of the core; use return(SM_NAME)")
    if name == CRASH_POINT and term.action == "return":
        raise PlanError(name, "nothing can be reported between two steps; use kill, panic, print, sleep or pause")
    fields: dict[str, int | bytes] = {"action": _faultinj.ACTIONS.index(term.action)}
    flags = 0
    for modifier in term.modifiers:
        flags |= _BITS[modifier.kind]
        fields[_FIELDS.get(modifier.kind, modifier.kind)] = modifier.value
    for part in term.filters:
        flags |= _BITS[part.kind]
        fields[_FIELDS.get(part.kind, part.kind)] = _filter_value(name, part)
    fields["flags"] = flags
    match term.argument:
        case str() as text if term.action == "return":
            fields["code"], fields["number"] = _checked_code(name, text, core)
        case str() as text:
            fields["text"] = text.encode()
        case int() as number:
            fields["number"] = number
    if term.action == "callback" and ":" not in str(term.argument):
        raise PlanError(name, f'callback("{term.argument}"): expected "module:function"')
    return fields


def _checked_code(name: str, text: str, core: bool) -> tuple[int, int]:
    kind, number = error_code(text)
    if kind == _SM and number == 0:
        raise PlanError(name, "return(SM_OK) would be a failure that is none; use off")
    if core and kind == _ERRNO and text not in _CORE_ERRNOS:
        raise PlanError(name, f"the core has no error for {text}; use an SM_ name, or one of {', '.join(_CORE_ERRNOS)}")
    if core and kind == _NUMBER and not 0 < number < len(_SM_CODES):
        raise PlanError(
            name, f"return({number}): a core point reports the codes 1 to {len(_SM_CODES) - 1}, or SM_ names"
        )
    return kind, number


def _filter_value(name: str, part: Filter) -> int | bytes:
    if isinstance(part.value, int):
        return part.value
    if part.kind != "flags":
        return part.value.encode()
    numbers = {key: value for key, value in _native.offered().items() if key.startswith("M_")}
    wanted = 0
    for flag in part.value.split("|"):
        if flag not in numbers:
            raise PlanError(name, f"[flags {flag}]: expected one of {', '.join(numbers)}")
        wanted |= numbers[flag]
    return wanted
