"""The Python level: one statement for each subject, timed in turns in one process.

Owns the statements and the objects that they need. The garbage collector stays on, as in a program: an object that it
tracks pays for that here as well. Figures are those of the whole statement, loop included.
"""

from __future__ import annotations

import gc
import os
import timeit
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from multiprocessing.heap import BufferWrapper
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import msgspec

from workloads.bench.build import Unavailable, cache_directory
from workloads.bench.catalogue import wanted
from workloads.bench.cleanup import remove_objects
from workloads.bench.faults import armed_points, unarmed_points
from workloads.bench.reference import load_reference
from workloads.bench.round import Progress, Tableau
from workloads.bench.targets import (
    BARE,
    BYTEARRAY,
    DROPPED,
    FREED,
    ITEM,
    PY_CLGET,
    PY_EMPTY,
    PY_GETCL,
    PY_POINT_OFF,
    SAME_ON_BYTEARRAY,
)

ITEM_BYTES = 2048
BATCH_S = 0.002


class Statement(msgspec.Struct, frozen=True):
    """What one subject does in one case; `per` items at a time. needs names the source of its objects."""

    case: str
    subject: str
    code: str
    needs: str = "python"
    per: int = 1


STATEMENTS: tuple[Statement, ...] = (
    Statement("py.pair", DROPPED, "zone.alloc()", "shmalloc"),
    Statement("py.pair", FREED, "zone.alloc().free()", "shmalloc"),
    Statement("py.pair", BYTEARRAY, "bytearray(2048)"),
    Statement("py.pair", BARE, "bare.make()", "cython"),
    Statement("py.pair", "bare Cython object, from its type", "Bare()", "cython"),
    Statement("py.pair", "empty Cython method", "bare.empty()", "cython"),
    Statement("py.pair", "kickmsg allocate", "publisher.allocate()", "kickmsg"),
    Statement("py.pair", "iceoryx2 loan", "loan(2048).delete()", "iceoryx2"),
    Statement("py.pair", "multiprocessing.heap", "BufferWrapper(2048)"),
    Statement("py.pair", "SharedMemory", "s = SharedMemory(create=True, size=2048); s.close(); s.unlink()"),
    Statement("py.bulk", "alloc_many / free_many", "zone.free_many(zone.alloc_many(64))", "shmalloc", 64),
    Statement("py.bulk", "list of bytearray(2048)", "[bytearray(2048) for _ in range(64)]", per=64),
    Statement("py.getcl", PY_GETCL, "mbufs.m_getcl()", "mbufs"),
    Statement("py.getcl", "m_getcl().m_freem()", "mbufs.m_getcl().m_freem()", "mbufs"),
    Statement("py.getcl", PY_CLGET, "mbufs.m_gethdr().m_clget()", "mbufs"),
    Statement("py.getcl", "m_gethdr() dropped", "mbufs.m_gethdr()", "mbufs"),
    Statement("py.getcl", BYTEARRAY, "bytearray(2048)"),
    Statement("py.fault", PY_POINT_OFF, "point()", "unarmed"),
    Statement("py.fault", PY_EMPTY, "empty()", "unarmed"),
    Statement("py.fault", "a with block of it, nothing armed", "with point: pass", "unarmed"),
    Statement("py.fault", "Block.reach, nothing set", "reach(idle)", "armed"),
    Statement("py.fault", "Block.reach, with nth(10^12)", "reach(armed)", "armed"),
    Statement("py.view", ITEM, "memoryview(item)", "shmalloc"),
    Statement("py.view", SAME_ON_BYTEARRAY, "memoryview(data)"),
    Statement("py.slice", ITEM, "item[128:192]", "shmalloc"),
    Statement("py.slice", SAME_ON_BYTEARRAY, "data[128:192]"),
    Statement("py.assign", ITEM, "item[128:192] = piece", "shmalloc"),
    Statement("py.assign", SAME_ON_BYTEARRAY, "data[128:192] = piece"),
    Statement("py.read", ITEM, "item.read(64, 128)", "shmalloc"),
    Statement("py.read", SAME_ON_BYTEARRAY, "data[128:192]"),
    Statement("py.write", ITEM, "item.write(piece, 128)", "shmalloc"),
    Statement("py.write", SAME_ON_BYTEARRAY, "data[128:192] = piece"),
)


def import_or_refuse(name: str, package: str, attribute: str) -> Any:
    """The module. Raises Unavailable: it is not there, or a package of that name without the attribute is."""
    try:
        module = import_module(name)
    except ImportError as why:
        raise Unavailable(f"not importable: pip package {package} ({why})") from why
    if not hasattr(module, attribute):
        raise Unavailable(f"{name} has no {attribute}: pip package {package} is not built or another version")
    return module


def _python(_: ExitStack) -> dict[str, Any]:
    return {
        "data": bytearray(ITEM_BYTES),
        "piece": bytes(64),
        "BufferWrapper": BufferWrapper,
        "SharedMemory": SharedMemory,
    }


def _cython(_: ExitStack) -> dict[str, Any]:
    module = load_reference(cache_directory())
    return {"Bare": module.Bare, "bare": module.Bare()}


def _shmalloc(stack: ExitStack) -> dict[str, Any]:
    shmalloc = import_or_refuse("shmalloc", "shmalloc", "Arena")
    arena = shmalloc.Arena.create(f"bench-{os.getpid()}-py", max_size="256M")
    stack.callback(arena.close)
    stack.callback(arena.unlink)
    zone = arena.zone("bench", size=ITEM_BYTES, prealloc=256)
    return {"zone": zone, "item": zone.alloc(), "piece": bytes(64)}


def _mbufs(stack: ExitStack) -> dict[str, Any]:
    shmalloc = import_or_refuse("shmalloc", "shmalloc", "Mbufs")
    arena = shmalloc.Arena.create(f"bench-{os.getpid()}-mbufs", max_size="64M")
    stack.callback(arena.close)
    stack.callback(arena.unlink)
    return {"mbufs": arena.mbufs()}


def _kickmsg(stack: ExitStack) -> dict[str, Any]:
    kickmsg = import_or_refuse("kickmsg", "kickmsg", "SharedRegion")
    config = kickmsg.Config()
    config.max_payload_size = ITEM_BYTES
    region = kickmsg.SharedRegion.create(f"/bench-{os.getpid()}-kick", kickmsg.ChannelType.PubSub, config, "bench")
    stack.callback(region.unlink)
    return {"publisher": kickmsg.Publisher(region)}


def iceoryx2_node(iox2: Any, mark: str) -> Any:
    """A node whose objects carry mark in their names, so that what it leaves behind can be removed."""
    config = iox2.config.default()
    config.global_cfg.prefix = iox2.FileName.new(f"{mark}_")
    iox2.set_log_level(iox2.LogLevel.Fatal)
    return iox2.NodeBuilder.new().config(config).create(iox2.ServiceType.Ipc)


def _iceoryx2(stack: ExitStack) -> dict[str, Any]:
    ctypes = import_module("ctypes")
    iox2 = import_or_refuse("iceoryx2", "iceoryx2", "NodeBuilder")
    mark = f"bench{os.getpid()}iox"
    stack.callback(remove_objects, mark)
    node = iceoryx2_node(iox2, mark)
    name = iox2.ServiceName.new("bench/pair")
    service = node.service_builder(name).publish_subscribe(iox2.Slice[ctypes.c_uint8]).open_or_create()
    publisher = service.publisher_builder().initial_max_slice_len(ITEM_BYTES).create()
    return {"loan": publisher.loan_slice_uninit, "kept": (node, service, publisher)}


SOURCES: Mapping[str, Callable[[ExitStack], dict[str, Any]]] = {
    "python": _python,
    "cython": _cython,
    "shmalloc": _shmalloc,
    "mbufs": _mbufs,
    "unarmed": unarmed_points,
    "armed": armed_points,
    "kickmsg": _kickmsg,
    "iceoryx2": _iceoryx2,
}


def calibrate(timer: timeit.Timer, batch_s: float = BATCH_S) -> int:
    """How many turns of the loop take about batch_s. The statement is warm afterwards."""
    number = 1
    while number < 10_000_000:
        took = timer.timeit(number)
        if took >= batch_s / 2:
            return max(1, int(number * batch_s / took))
        number *= 4
    return number


def measure_statements(
    tableau: Tableau,
    *,
    only: str | None,
    repeat: int,
    progress: Progress,
    statements: tuple[Statement, ...] = STATEMENTS,
) -> None:
    """Times every wanted statement, in turns."""
    chosen = [statement for statement in statements if wanted(only, statement.case)]
    with ExitStack() as stack:
        names: dict[str, dict[str, Any]] = {}
        absent: dict[str, str] = {}
        for source in dict.fromkeys(statement.needs for statement in chosen):
            try:
                names[source] = SOURCES[source](stack)
            except Unavailable as why:
                absent[source] = str(why)
        stack.callback(names.clear)  # objects go before the arena that they came from
        timed: list[tuple[Statement, timeit.Timer, int]] = []
        for statement in chosen:
            if statement.needs in absent:
                tableau.skip(statement.case, statement.subject, absent[statement.needs])
                continue
            timer = timeit.Timer(statement.code, setup=gc.enable, globals=names[statement.needs])
            timed.append((statement, timer, calibrate(timer)))
        for turn in range(repeat):
            for statement, timer, number in timed:
                took = timer.timeit(number)
                tableau.add(statement.case, statement.subject, took / number / statement.per * 1e9)
            progress(f"Python level, run {turn + 1} of {repeat}")
        timed.clear()
