"""Module-level functions that tests name as ctors and dtors. Each works on the item's bytes or on ``log``."""

import errno
import os
from typing import Any

from shmalloc import ShmallocError

log: list[tuple[Any, ...]] = []
keep: list[Any] = []


def ctor_stamp(mem: memoryview, size: int, arg: object, how: int) -> None:
    """Writes "C" and remembers what it was given."""
    mem[0] = ord("C")
    log.append(("ctor", size, len(mem), arg, how))


def dtor_log(mem: memoryview, size: int, arg: object) -> None:
    log.append(("dtor", size, bytes(mem[:1])))


def init_zero(mem: memoryview, size: int, how: int) -> int:
    mem[:] = bytes(size)
    log.append(("init", size))
    return 0


def fini_log(mem: memoryview, size: int) -> None:
    log.append(("fini", size))


def ctor_errno(mem: memoryview, size: int, arg: object, how: int) -> int:
    return errno.ENOBUFS


def ctor_raises(mem: memoryview, size: int, arg: object, how: int) -> None:
    raise LookupError("no more names")


def ctor_os_error(mem: memoryview, size: int, arg: object, how: int) -> None:
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def ctor_interrupt(mem: memoryview, size: int, arg: object, how: int) -> None:
    raise KeyboardInterrupt


def ctor_returns_arg(mem: memoryview, size: int, arg: object, how: int) -> object:
    return arg


def init_fails(mem: memoryview, size: int, how: int) -> int:
    return errno.EIO


def ctor_keeps_view(mem: memoryview, size: int, arg: object, how: int) -> None:
    keep.append((mem, mem[1:3]))


def dtor_raises(mem: memoryview, size: int, arg: object) -> None:
    raise LookupError("cannot say goodbye")


def dtor_frees_again(mem: memoryview, size: int, arg: object) -> None:
    try:
        keep[0].free()
    except ShmallocError as error:
        log.append(("again", type(error).__name__))


def ctor_closes_arena(mem: memoryview, size: int, arg: Any, how: int) -> None:
    arg.close()


def ctor_allocates(mem: memoryview, size: int, arg: Any, how: int) -> None:
    keep.append(arg.alloc())


def maxaction_log(zone: str) -> None:
    log.append(("maxaction", zone))


class Namespace:
    @staticmethod
    def ctor_static(mem: memoryview, size: int, arg: object, how: int) -> None:
        mem[0] = ord("S")

    def ctor_method(self, mem: memoryview, size: int, arg: object, how: int) -> None:
        mem[0] = ord("M")


not_callable = 3


def ext_free(mem: memoryview, size: int, arg1: int, arg2: int) -> None:
    log.append(("free", size, bytes(mem), arg1, arg2))


def ext_free_fails(mem: memoryview, size: int, arg1: int, arg2: int) -> None:
    raise RuntimeError("no")


def drain_log() -> None:
    log.append(("drain",))


def label_init(how: int) -> int:
    log.append(("label init", how))
    return 0xFEED


def label_copy(new: int, old: int, how: int) -> int:
    log.append(("label copy", new, old, how))
    return old + 1


def label_destroy(slot: int) -> None:
    log.append(("label destroy", slot))


def label_refuse(how: int) -> None:
    raise PermissionError(errno.EPERM, "no labels today")
