"""The words that every face shares: WITNESS's names of lock classes, places, who it was. Formats nothing else."""

from __future__ import annotations

from witness.record import Frame, LockClassRecord, Mode, Side

__all__ = ["at", "class_words", "pointer", "taken_as", "where", "who"]

_CLASSES = {
    "mutex": "sleep mutex",
    "spin": "spin mutex",
    "rwlock": "rw",
    "sx": "sx",
    "semaphore": "sema",
    "condition": "cv",
    "core": "core mutex",
}
_MODES: dict[Mode, str] = {"exclusive": "exclusive", "shared": "shared", "shared_recursive": "shared"}


def class_words(record: LockClassRecord) -> str:
    """What WITNESS calls the kind of lock: `sleep mutex`, `sx`; foreign locks by their own name."""
    return _CLASSES.get(record.kind, record.kind.removeprefix("foreign:"))


def taken_as(mode: Mode) -> str:
    """`exclusive` or `shared`."""
    return _MODES[mode]


def pointer(instance: int) -> str:
    """An address as %p prints it; 0x0 when it is not known."""
    return f"{instance:#x}"


def at(frame: Frame) -> str:
    """`FILE:LINE`, or the file alone."""
    return f"{frame.file}:{frame.line}" if frame.line else frame.file


def where(side: Side) -> str:
    """The innermost place of a side."""
    return at(side.stack[0]) if side.stack else "unknown:0"


def who(side: Side) -> str:
    """Process, thread and CPU of a side, in one phrase."""
    thread = f"{side.thread}, tid {side.tid}" if side.tid else side.thread
    cpu = "" if side.cpu is None else f", cpu {side.cpu}"
    return f"{side.process} (pid {side.pid}, thread {thread}{cpu})"
