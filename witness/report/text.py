"""Findings as text, in the shape of FreeBSD's WITNESS, so that eyes and scripts that know it read this too.

Owns the shape. What WITNESS does not say (who it was, how bad it is, the shortest cycle) follows in lines of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from shmalloc.report.amounts import counted
from witness.analysis.findings import Analysis, Finding
from witness.analysis.ordergraph import OrderGraph
from witness.record import Misuse, Reversal, Side, Sleep, Stack
from witness.report.words import at, class_words, pointer, taken_as, where, who

__all__ = ["finding_lines", "order_lines"]


def finding_lines(finding: Finding, order: OrderGraph) -> Iterator[str]:
    """The lines of one finding, without a blank one at the end."""
    record = finding.record
    if isinstance(record, Reversal):
        yield from _reversal(record, order)
    elif isinstance(record, Sleep):
        yield from _sleep(record, order)
    elif isinstance(record, Misuse):
        yield from _misuse(record, order)
    elif finding.rule == "lock-order-cycle":
        yield "lock order reversal:"
        yield from _orders(finding, order)
    if finding.deadlock is not None:
        yield from _deadlock(finding, order)
    if finding.cycle:
        names = order.names((*finding.cycle, finding.cycle[0]))
        yield f"shortest cycle: {' -> '.join(names)}"
        if isinstance(record, Reversal) and len(finding.cycle) > 2:
            yield from _orders(finding, order)
    level = finding.level + (f", {finding.count} times" if finding.count > 1 else "")
    yield f"{level}: {finding.why}" if finding.why else level


def _named(side: Side, class_id: int, order: OrderGraph) -> str:
    record = order.classes[class_id]
    kind = class_words(record)
    return f"{pointer(side.instance)} {side.lock or record.name} ({record.name}, {kind}) @ {where(side)}"


def _stack(stack: Stack) -> Iterator[str]:
    if not stack:
        yield "(no stack was recorded)"
    for depth, frame in enumerate(stack):
        yield f"#{depth} {frame.function} at {at(frame)}"


def _pair(first: str, second: str, how: str, side: Side) -> Iterator[str]:
    yield f"lock order {first} -> {second} {how} at:"
    yield from _stack(side.stack)
    yield f"by {who(side)}"


def _reversal(record: Reversal, order: OrderGraph) -> Iterator[str]:
    first, second = order.names((record.first, record.second))
    held, wanted = record.attempted
    if record.kind == "duplicate":
        yield f'acquiring duplicate lock of same type: "{second}"'
        yield f" 1st {held.lock or first} @ {where(held)}"
        yield f" 2nd {wanted.lock or second} @ {where(wanted)}"
        yield from _stack(wanted.stack)
        yield f"by {who(wanted)}"
        return
    if record.kind == "recursion":
        kind = class_words(order.classes[record.second])
        yield f"recursed on non-recursive lock ({kind}) {wanted.lock or second} @ {where(wanted)}"
        yield f"first acquired @ {where(held)}"
        yield from _stack(wanted.stack)
        yield f"by {who(wanted)}"
        return
    yield "lock order reversal:" + ("" if record.kind == "reversal" else f" ({record.kind})")
    yield f" 1st {_named(held, record.first, order)}"
    yield f" 2nd {_named(wanted, record.second, order)}"
    if record.established is not None:
        yield from _pair(second, first, "established", record.established[1])
    yield from _pair(first, second, "attempted", wanted)


def _orders(finding: Finding, order: OrderGraph) -> Iterator[str]:
    for link in finding.links:
        first, second = order.names((link.first, link.second))
        yield from _pair(first, second, "attempted" if link.attempted else "established", link.sides[1])


def _sleep(record: Sleep, order: OrderGraph) -> Iterator[str]:
    message = f'malloc(M_WAITOK) of "{record.zone}"' if record.zone is not None else record.what
    if record.action == "forced M_NOWAIT":
        message += ", forcing M_NOWAIT"
    yield f"{message} with the following non-sleepable locks held:"
    for held in record.held:
        known = order.classes[held.class_id]
        place = at(held.site) if held.site is not None else "unknown:0"
        yield (
            f"{taken_as(held.mode)} {class_words(known)} {held.name} ({known.name}) r = {held.recursion} "
            f"({pointer(held.instance)}) locked @ {place}"
        )
        if held.stack:
            yield from _stack(held.stack)
    yield "stack backtrace:"
    yield from _stack(record.side.stack)
    yield f"by {who(record.side)}"


def _misuse(record: Misuse, order: OrderGraph) -> Iterator[str]:
    known = order.classes[record.class_id]
    yield f"{record.what}: {_named(record.side, record.class_id, order).split(' ', 1)[1]}"
    if record.detail:
        yield f"{known.name}: {record.detail}"
    yield "stack backtrace:"
    yield from _stack(record.side.stack)
    yield f"by {who(record.side)}"


def _deadlock(finding: Finding, order: OrderGraph) -> Iterator[str]:
    if finding.deadlock is None:
        return
    yield "DEADLOCK:"
    for wait in finding.deadlock.waits:
        name = order.classes[wait.class_id].name
        holders = ", ".join(who(holder) for holder in wait.holders)
        yield f"{who(wait.side)} waits for {wait.instance} ({name}), held by {holders}, at:"
        yield from _stack(wait.side.stack)


def order_lines(analysis: Analysis) -> Iterator[str]:
    """The canonical order, ready to paste into a program; what has to be broken for it stands in comments before it."""
    order, broken = analysis.order, analysis.canonical.broken
    if broken:
        yield "# These orders contradict the rest and have to go:"
    for link in broken:
        first, second = order.names((link.first, link.second))
        back = " -> ".join((*order.names(order.shortest_cycle(link.first, link.second)[1:]), first))
        kind = "refused" if link.attempted else "seen"
        seen = f"{kind}, {counted(link.count, 'time')}"
        yield f"#   {first} -> {second} @ {where(link.sides[1])} ({seen}), against {back}"
    yield "LOCK_ORDER = ("
    for name in order.names(analysis.canonical.classes):
        yield f"    {_quoted(name)},"
    yield ")"


def _quoted(name: str) -> str:
    text = repr(name)
    return text if '"' in name else f'"{text[1:-1]}"'
