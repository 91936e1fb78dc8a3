"""`faultinj ctl`: look at the faults of a running arena or program, and change them while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import typer

from faultinj._faultinj import Block
from faultinj.cli.wrong import usage
from faultinj.grammar import parse_plan
from faultinj.guard import clear_program
from faultinj.plan import UnknownPoint, matching
from faultinj.process import apply
from faultinj.target import block_at
from shmalloc.cli.screen import say, show, show_json
from shmalloc.report.table import Column, Table

__all__ = ["ctl"]

ACTIONS = ("list", "set", "clear", "pause-list", "resume", "log")

_KEYS = ("number", "time_ns", "sequence", "point", "action")


def ctl(
    target: Annotated[str, typer.Argument(metavar="ARENA|PID", help="An armed arena, or a process that has a block.")],
    action: Annotated[str, typer.Argument(metavar="[ACTION]", help=f"One of {', '.join(ACTIONS)}.")] = "list",
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORD]...", help="set: POINT=PROGRAM ...; clear, resume, log: GLOB.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, times in nanoseconds.")] = False,
) -> None:
    """List, set and clear the faults of a running arena or program, let paused threads go on, and read the log."""
    if action not in ACTIONS:
        usage(f"{action!r} is no action: expected one of {', '.join(ACTIONS)}")
    given = words or []
    if (action == "set") != bool(given) and action in ("set", "list", "pause-list"):
        usage(f"{action}: expected {'POINT=PROGRAM ...' if action == 'set' else 'no more words'}")
    block, called = block_at(target)
    does: dict[str, Callable[[Block, list[str], bool], None]] = {
        "list": _list, "set": _set, "clear": _clear, "pause-list": _pauses, "resume": _resume, "log": _log,
    }  # fmt: skip
    does[action](block, given, as_json)
    if action == "list" and not as_json:
        say(f"{called}: {block.slots_free} programs can still be set, random numbers from seed {block.seed}")


def _list(block: Block, words: list[str], as_json: bool) -> None:
    rows = []
    for number, name in enumerate(block.names()):
        reached, injected = block.counts(number)
        setting = block.setting(number)
        rows.append(
            {
                "point": name,
                "reached": reached,
                "injected": injected,
                "program": setting[0] if setting else None,
                "set_by": setting[1] if setting else None,
                "set_ns": setting[2] if setting else None,
                "terms": [{"seen": seen, "fired": fired} for seen, fired in setting[3]] if setting else [],
            }
        )
    if as_json:
        show_json(rows)
        return
    columns = (Column("POINT", False), Column("REACHED"), Column("INJECTED"), Column("PROGRAM", False, "wrap"))
    body = tuple((str(r["point"]), str(r["reached"]), str(r["injected"]), str(r["program"] or "-")) for r in rows)
    show(Table("points", columns, body))


def _set(block: Block, words: list[str], as_json: bool) -> None:
    plan = parse_plan("; ".join(words))
    names = block.names()
    done = {names[number]: str(setting.program) for number, setting in apply(plan.settings, block).items()}
    if as_json:
        show_json(done)
        return
    for name, program in done.items():
        say(f"{name}={program}")


def _clear(block: Block, words: list[str], as_json: bool) -> None:
    cleared = [name for glob in words or ["*"] for name in clear_program(glob, where=block)]
    if as_json:
        show_json(cleared)
    else:
        say(f"cleared: {', '.join(cleared) or 'nothing was set'}")


def _pauses(block: Block, words: list[str], as_json: bool) -> None:
    names = block.names()
    rows = [
        {"pid": pid, "tid": tid, "point": names[point] if point < len(names) else f"#{point}", "since_ns": since}
        for pid, tid, point, since in block.paused()
    ]
    if as_json:
        show_json(rows)
        return
    columns = (Column("PID"), Column("THREAD"), Column("POINT", False), Column("SECONDS"))
    now = time.time_ns()
    body = tuple(
        (str(pid), str(tid), names[point] if point < len(names) else f"#{point}", f"{(now - since) / 1e9:.1f}")
        for pid, tid, point, since in block.paused()
    )
    show(Table("paused", columns, body, "no thread is paused"))


def _resume(block: Block, words: list[str], as_json: bool) -> None:
    names = block.names()
    paused = {names[point] for _, _, point, _ in block.paused() if point < len(names)}
    chosen = [name for glob in words or ["*"] for name in _found(glob, names)]
    for name in chosen:
        block.resume(names.index(name))
    went_on = sorted(paused & set(chosen))
    if as_json:
        show_json(went_on)
    else:
        say(f"resumed: {', '.join(went_on) or 'no thread was paused'}")


def _log(block: Block, words: list[str], as_json: bool) -> None:
    names = block.names()
    chosen = {name for glob in words or ["*"] for name in _found(glob, names)}
    keys = (*_KEYS, "subject", "bytes", "pid", "tid", "step", "code", "value")
    rows = [row for row in block.log() if row[3] in chosen]
    if as_json:
        show_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    columns = (
        Column("TIME", False), Column("POINT", False), Column("ACTION", False), Column("OF", False), Column("BYTES"),
        Column("NTH"), Column("PID"), Column("STEP"),
    )  # fmt: skip
    body = tuple(
        (
            time.strftime("%H:%M:%S", time.localtime(row[1] / 1e9)) + f".{row[1] // 1_000_000 % 1000:03d}",
            row[3], row[4], row[5] or "-", str(row[6]), str(row[2]), str(row[7]), "-" if row[9] is None else
            str(row[9]),
        )
        for row in rows
    )  # fmt: skip
    show(Table("log", columns, body, "nothing was injected"))


def _found(glob: str, names: tuple[str, ...]) -> tuple[str, ...]:
    found = matching(glob, names)
    if not found:
        raise UnknownPoint(glob, names)
    return found
