"""Faults asked for by environment variables, set when faultinj is imported.

``FAULTINJ``
    a plan: ``zone.ctor=nth(3):return; db.*=1%return``
``FAULTINJ_FILE``
    a TOML file with ``seed`` and a table ``[points]`` of programs by point; FAULTINJ is set after it
``FAULTINJ_SEED``
    what random numbers follow from
``FAULTINJ_BLOCK``
    the path of a shared object whose block this process is to use, as its parent made it

Owns the reading of these. A point named there may be declared later; one that nobody declared is told of at exit.
"""

import atexit
import difflib
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from faultinj import process
from faultinj._faultinj import Block, CoreError
from faultinj.grammar import GrammarError, parse_plan, parse_program
from faultinj.plan import PlanError
from faultinj.program import Plan, Setting

__all__ = ["BadEnvironment", "FileOfFaults", "begin", "read_file"]

_begun: list[process.Standing] = []


class BadEnvironment(ValueError):
    """An environment variable or a file that it names cannot be used; says which, where, and why."""


class FileOfFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What FAULTINJ_FILE holds: ``seed``, and ``points``, programs by the name or glob of their point."""

    points: dict[str, str] = {}
    seed: int | None = None


def _line_of(text: str, key: str) -> int:
    """The line on which this key is given a value, from 1; 1 when it cannot be found."""
    quoted = re.escape(key)
    found = re.search(rf"""^\s*(?:"{quoted}"|'{quoted}'|\[?{quoted}\]?)\s*(?:=|$)""", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 + found[0].count("\n", 0, len(found[0].rstrip())) if found else 1


def _misfit_key(raw: Mapping[str, object]) -> str:
    for key, value in raw.items():
        if key == "points" and isinstance(value, dict):
            for point, program in value.items():
                if not isinstance(program, str):
                    return str(point)
        elif key not in FileOfFaults.__struct_fields__ or key == "points" or not isinstance(value, int):
            return key
    return ""


def read_file(path: str | os.PathLike[str]) -> tuple[Plan, int | None]:
    """Read a file of faults.

    Returns: its plan and its seed.   Raises: BadEnvironment: names file, line and key; OSError.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadEnvironment(f"{path}: no TOML: {error}") from error
    try:
        file = msgspec.convert(raw, FileOfFaults)
    except msgspec.ValidationError as error:
        key = _misfit_key(raw)
        raise BadEnvironment(f"{path}:{_line_of(text, key)}: {key}: {error}") from error
    if file.seed is not None and not 0 <= file.seed <= process.MOST_SEED:
        raise BadEnvironment(f"{path}:{_line_of(text, 'seed')}: seed: expected a number from 0 to {process.MOST_SEED}")
    settings = []
    for points, program in file.points.items():
        try:
            named = parse_plan(f"{points}=off").settings
            if len(named) != 1 or f"{named[0].points}=off" != str(named[0]):
                raise GrammarError(points, 1, "expected the name of one point, or a glob such as queue.*")
            settings.append(Setting(named[0].points, parse_program(program)))
        except GrammarError as error:
            raise BadEnvironment(f"{path}:{_line_of(text, points)}: {points}: {error}") from error
    return Plan(tuple(settings)), file.seed


def _plan_of(environ: Mapping[str, str]) -> tuple[Plan, int | None]:
    settings: tuple[Setting, ...] = ()
    seed = None
    if path := environ.get("FAULTINJ_FILE"):
        try:
            plan, seed = read_file(path)
        except (OSError, UnicodeDecodeError) as error:
            raise BadEnvironment(f"FAULTINJ_FILE={path}: {error}") from error
        settings = plan.settings
    if text := environ.get("FAULTINJ"):
        try:
            settings += parse_plan(text).settings
        except GrammarError as error:
            raise BadEnvironment(f"FAULTINJ: {error}") from error
    if raw := environ.get("FAULTINJ_SEED"):
        try:
            seed = int(raw, 0)
        except ValueError as error:
            raise BadEnvironment(f"FAULTINJ_SEED={raw}: expected a whole number") from error
        if not 0 <= seed <= process.MOST_SEED:
            raise BadEnvironment(f"FAULTINJ_SEED={raw}: expected a whole number from 0 to {process.MOST_SEED}")
    return Plan(settings), seed


def begin(environ: Mapping[str, str] = os.environ) -> Block | None:
    """Do what the environment asks for, once in a process; returns the block in use, None: nothing was asked for.

    Raises: BadEnvironment.
    """
    if _begun:
        return process.in_use()
    plan, seed = _plan_of(environ)
    path = environ.get("FAULTINJ_BLOCK")
    if not plan.settings and seed is None and not path:
        return None
    if path:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                process.use(Block.of_fd(fd, False))
            finally:
                os.close(fd)
        except (OSError, CoreError) as error:
            raise BadEnvironment(f"FAULTINJ_BLOCK={path}: no fault block: {error}") from error
    block = process.current()
    if seed is not None:
        block.seed = seed
    try:
        process.apply(plan.settings, block, strict=False)
    except PlanError as error:
        raise BadEnvironment(f"the faults of the environment: {error}") from error
    _begun.append(process.standing(plan, block))
    if plan.settings:
        atexit.register(_tell_unknown, os.getpid())
    return block


def _tell_unknown(pid: int) -> None:
    """At exit: what the environment named and nobody declared, which is a mistake as a rule."""
    if os.getpid() != pid or _begun[0].block.closed:
        return
    names = _begun[0].block.names()
    for setting in _begun[0].plan.settings:
        if setting.points not in _begun[0].met:
            near = difflib.get_close_matches(setting.points, names, 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            sys.stderr.write(
                f"faultinj: {setting}: no point was called so while this program ran{hint} `faultinj points` lists"
                " those of the core\n"
            )
