"""What the online part prints, in WITNESS's words.

Owns the wording of single reports; must not know the whole graph.
"""

from typing import Any, Protocol

__all__ = ["report_text"]

_MODES = ("exclusive", "shared", "shared")
REVERSAL, DUPLICATE, SLEEPABLE, RECURSION, SLEEP, MISUSE = range(6)
BLESSED, FORCED = 1, 2
Frames = tuple[tuple[str, int, str], ...]


class Tables(Protocol):
    """What a text needs of the block."""

    def lock_class(self, number: int) -> tuple[Any, ...]:
        """The class's row."""

    def edge(self, number: int) -> tuple[Any, ...]:
        """The edge's row."""


def _stack(frames: Frames) -> str:
    return "".join(f"#{i} {function} @ {file}:{line}\n" for i, (file, line, function) in enumerate(frames)) or "#0 ?\n"


def _where(frames: Frames) -> str:
    return f"{frames[0][0]}:{frames[0][1]}" if frames else "?"


def _name(tables: Tables, number: int) -> tuple[str, str]:
    row = tables.lock_class(number)
    return str(row[0]), str(row[1])


def report_text(tables: Tables, row: tuple[Any, ...]) -> str:
    """The text of one report, "" for one that is only recorded (a blessed reversal).

    Parameters: row: as Watch.report gives it.
    """
    kind, flags = row[0], row[1]
    if flags & BLESSED and kind == REVERSAL:
        return ""
    if kind == SLEEP:
        return _sleep(tables, row)
    if kind == MISUSE:
        return _misuse(tables, row)
    return _order(tables, row)


def _order(tables: Tables, row: tuple[Any, ...]) -> str:
    kind, (first, second), (first_mode, second_mode), (held, here) = row[0], row[5], row[6], row[7]
    (a, a_kind), (b, b_kind) = _name(tables, first), _name(tables, second)
    if kind in (DUPLICATE, RECURSION):
        head = f'acquiring duplicate lock of same type: "{a}"\n'
        if kind == RECURSION:
            head = f'recursed on non-recursive {a_kind} "{a}": the thread would wait for itself\n'
    else:
        head = f"lock order reversal:{' (sleepable after non-sleepable)' if kind == SLEEPABLE else ''}\n"
    out = [
        head,
        f" 1st {a} ({a_kind}, {_MODES[first_mode % 3]}) @ {_where(held)}\n",
        f" 2nd {b} ({b_kind}, {_MODES[second_mode % 3]}) @ {_where(here)}\n",
    ]
    if kind == REVERSAL:
        if len(row[10]) > 2:
            names = [_name(tables, number)[0] for number in row[10]]
            out.append(f" cycle {' -> '.join([*names, names[0]])}\n")
        if row[8]:
            edge = tables.edge(row[8])
            names = [_name(tables, number)[0] for number in edge[:2]]
            declared = " (declared)" if edge[3] & 2 else f" by pid {edge[8] >> 32}"
            out.append(f"lock order {names[0]} -> {names[1]} established{declared} at:\n{_stack(edge[6][1])}")
            out.append(f"with {names[0]} taken at:\n{_stack(edge[6][0])}")
    out.append(f"lock order {a} -> {b} attempted by pid {row[3] >> 32} at:\n{_stack(here)}")
    out.append(f"with {a} taken at:\n{_stack(held)}")
    return "".join(out)


def _sleep(tables: Tables, row: tuple[Any, ...]) -> str:
    what, zone = row[11], row[12]
    head = f'{what} of "{zone}"' if zone else what
    if row[1] & FORCED:
        head += ", forcing M_NOWAIT"
    out = [f"{head} with the following non-sleepable locks held:\n"]
    for number, mode, frames, depth, instance in row[14]:
        name, kind = _name(tables, number)
        out.append(f"{_MODES[mode % 3]} {kind} {name} r = {depth - 1} ({instance:#x}) locked @ {_where(frames)}\n")
        out.append(_stack(frames))
    out.append(f"sleeping at, pid {row[3] >> 32}:\n{_stack(row[7][1])}")
    return "".join(out)


def _misuse(tables: Tables, row: tuple[Any, ...]) -> str:
    name, kind = _name(tables, row[5][0])
    detail = f" ({row[13]})" if row[13] else ""
    frames = row[7][1]
    who = f"by pid {row[3] >> 32}, thread {row[4]}"
    return f"witness: {row[11]}: {kind} {name}{detail} {who} @ {_where(frames)}\n{_stack(frames) if frames else ''}"
