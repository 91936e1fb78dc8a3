"""Who waits for whom, as a tree for people and as plain JSON values for programs. Owns both forms; finds out nothing.

The tree's branches lead from who waits to who holds; places are the innermost first.
"""

from __future__ import annotations

from typing import Any

import msgspec
from rich.text import Text
from rich.tree import Tree

from shmalloc.report.table import printable
from witness.live import Lock, Situation, ThreadNow
from witness.live.situation import GONE
from witness.record import Stack
from witness.report.words import at, taken_as

__all__ = ["as_plain_situation", "situation_trees", "summary"]

_LIFE = {
    "ended": "the thread has ended: another one must give it back",
    "died": "the process is dead",
    "elsewhere": "of another pid namespace: whether it lives is not known",
}


def as_plain_situation(situation: Situation, *, every: bool) -> dict[str, Any]:
    """The situation as values that JSON has; times in nanoseconds.

    Returns: `deadlocks`: rings of "pid/tid"; `waits`: of each waiter its thread, `waited_ns`, `stands`, `lock`, `mode`,
    `stack` and `holders`; with every, `holds` too: each thread that holds, and its locks.
    """
    value: dict[str, Any] = {
        "arenas": list(situation.arenas),
        "deadlocks": [[_key(one) for one in ring] for ring in situation.deadlocks],
        "waits": [_plain_wait(one, situation) for one in situation.waiting if every or _stands(one)],
    }
    if every:
        value["holds"] = [
            _thread(one) | {"life": one.life, "locks": msgspec.to_builtins(one.holds)}
            for one in situation.threads
            if one.holds
        ]
    return value


def _plain_wait(one: ThreadNow, situation: Situation) -> dict[str, Any]:
    if one.waits is None:
        return _thread(one)
    wait: dict[str, Any] = msgspec.to_builtins(one.waits)
    holders = [
        _thread(other)
        | {
            "life": other.life,
            "mode": held.mode,
            "stack": msgspec.to_builtins(held.stack),
            "held_ns": held.held_ns,
            "waits_too": other.waits is not None and other.life not in GONE,
        }
        for other, held in situation.holders(one.waits.lock)
    ]
    return _thread(one) | wait | {"deadlocked": any(one in ring for ring in situation.deadlocks), "holders": holders}


def _thread(one: ThreadNow) -> dict[str, Any]:
    return {"pid": one.pid, "tid": one.tid, "process": one.process, "thread": one.thread}


def _key(one: ThreadNow) -> str:
    return f"{one.pid}/{one.tid}"


def _stands(one: ThreadNow) -> bool:
    return one.waits is not None and one.waits.stands


def situation_trees(situation: Situation, *, every: bool) -> list[Tree]:
    """A tree for each deadlock, then one for each other waiter; with every, for each thread that only holds, too."""
    trees = [_ring_tree(ring, situation) for ring in situation.deadlocks]
    ringed = {_key(one) for ring in situation.deadlocks for one in ring}
    for one in situation.waiting:
        if _key(one) not in ringed and (every or _stands(one)):
            tree = Tree(_waits(one))
            _explain(tree, one, situation)
            trees.append(tree)
    for one in situation.threads if every else ():
        if one.holds and (one.waits is None or one.life in GONE):
            tree = Tree(_line(f"{_who(one)} waits for nothing{_life(one)}"))
            for held in one.holds:
                _stack(tree.add(_line(f"holds {_named(held.lock, situation)}{_for(held.held_ns)}")), held.stack)
            trees.append(tree)
    return trees


def summary(situation: Situation) -> str:
    """One line: how many wait, and how many of them for ever."""
    standing = sum(_stands(one) for one in situation.waiting)
    passing = len(situation.waiting) - standing
    stuck = sum(len(ring) for ring in situation.deadlocks)
    words = [f"{standing} {'thread waits' if standing == 1 else 'threads wait'}"]
    words += [f"{passing} moving"] if passing else []
    words += [f"DEADLOCK of {stuck}"] if stuck else ["no deadlock"]
    return f"{', '.join(words)}; seen in {', '.join(situation.arenas) or 'no arena'}"


def _ring_tree(ring: tuple[ThreadNow, ...], situation: Situation) -> Tree:
    head = f"DEADLOCK: {len(ring)} threads wait for each other" if len(ring) > 1 else "DEADLOCK: it waits for itself"
    tree = Tree(_line(head, "bold red"))
    for one in ring:
        _explain(tree.add(_waits(one)), one, situation)
    return tree


def _explain(tree: Tree, one: ThreadNow, situation: Situation) -> None:
    if one.waits is None:
        return
    _stack(tree, one.waits.stack)
    holders = situation.holders(one.waits.lock)
    for other, held in holders:
        how = "" if held.mode == "exclusive" else f" {taken_as(held.mode)}"
        too = ", which waits itself" if other.waits is not None and other.life not in GONE else ""
        words = f"held{how}{_for(held.held_ns)} by {_who(other)}{too}{_life(other)}, taken at"
        _stack(tree.add(_line(words, "red" if other.life in GONE else "")), held.stack)
    if not holders:
        tree.add(_line("nobody is known to hold it"))


def _waits(one: ThreadNow) -> Text:
    if one.waits is None:
        return _line(_who(one))
    moving = "" if one.waits.stands else " (moving)"
    how = "" if one.waits.mode == "exclusive" else ", as a reader,"
    return _line(f"{_who(one)} waits {one.waits.waited_ns / 1e9:.1f} s{moving}{how} for {_lock(one.waits.lock)}, at")


def _named(lock: Lock, situation: Situation) -> str:
    waiters = sum(one.waits is not None and one.waits.lock == lock for one in situation.waiting)
    return _lock(lock) + (f", {waiters} waiting" if waiters else "")


def _lock(lock: Lock) -> str:
    return f'{lock.kind.removeprefix("foreign:")} "{lock.name}" ({lock.arena})'


def _for(held_ns: int | None) -> str:
    return "" if held_ns is None else f" for {held_ns / 1e9:.1f} s"


def _life(one: ThreadNow) -> str:
    return f" ({_LIFE[one.life]})" if one.life in _LIFE else ""


def _who(one: ThreadNow) -> str:
    return f"{one.process} (pid {one.pid}, thread {one.thread}, tid {one.tid})"


def _stack(tree: Tree, stack: Stack) -> None:
    for depth, frame in enumerate(stack):
        tree.add(_line(f"#{depth} {frame.function} at {at(frame)}", "dim"))
    if not stack:
        tree.add(_line("(no stack was recorded)", "dim"))


def _line(words: str, style: str = "") -> Text:
    return Text(printable(words), style=style)
