"""Arena, zones, items, queues and limits against a plain model: dicts, lists and bytes."""

import itertools
import os
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import shmalloc
from shmalloc import M_NOWAIT, M_ZERO, Arena, Item, OutOfMemory, Queue, Zone
from shmalloc.naming import unlink_object

_numbers = itertools.count()


class Life:
    """What the model knows of one item: its bytes, and where it is."""

    def __init__(self, zone: str, data: bytes) -> None:
        self.zone = zone
        self.data = bytearray(data)


class ArenaMachine(RuleBasedStateMachine):
    """Two attachments of one arena do what programs do; the model says what must come of it."""

    zones = Bundle("zones")
    items: Bundle[tuple[Item, Life]] = Bundle("items")
    tickets: Bundle[tuple[int, Life]] = Bundle("tickets")

    @initialize(target=zones)
    def begin(self) -> str:
        self.name = f"test{os.getpid()}-model{next(_numbers)}"
        self.arena = Arena.create(self.name, max_size="4M", max_zones=32, max_queues=4)
        self.other = Arena.attach(self.name)
        self.sizes: dict[str, int] = {}
        self.limits: dict[str, int] = {}
        self.used: dict[str, int] = {}
        self.queue: Queue = self.arena.queue("q", depth=5)
        self.queued: list[Life] = []
        self.held: dict[int, tuple[Item, Life]] = {}
        zone = self.arena.zone("first", size=64)
        self.sizes["first"], self.limits["first"], self.used["first"] = zone.item_size, 0, 0
        return "first"

    def teardown(self) -> None:
        if not hasattr(self, "arena"):
            return
        assert self.arena.check().findings == ()
        for item, _ in self.held.values():
            item.free()
        self.held.clear()
        while self.queued:
            self.queued.pop()
            self.queue.get(timeout=0).free()
        self.other.close()
        self.arena.close()
        unlink_object(self.name)

    def _zone(self, name: str, side: bool) -> Zone:
        return (self.other if side else self.arena).zone(name)

    def _born(self, item: Item, life: Life) -> tuple[Item, Life]:
        self.held[id(life)] = (item, life)
        return item, life

    @rule(target=zones, size=st.sampled_from([1, 8, 100, 256, 2048, 5000]), offpage=st.booleans())
    def new_zone(self, size: int, offpage: bool) -> Any:
        if len(self.sizes) == 20:
            return multiple()
        name = f"z{len(self.sizes)}"
        zone = self.arena.zone(name, size=size, offpage=offpage)
        assert (zone.item_size, zone.max) == (size, 0)
        self.sizes[name], self.limits[name], self.used[name] = size, 0, 0
        return name

    @rule(target=items, name=zones, side=st.booleans(), zero=st.booleans())
    def alloc(self, name: str, side: bool, zero: bool) -> Any:
        limit, used = self.limits[name], self.used[name]
        try:
            item = self._zone(name, side).alloc(M_NOWAIT | (M_ZERO if zero else 0))
        except shmalloc.ZoneExhausted:
            assert limit
            assert used >= limit
            return multiple()
        except OutOfMemory:
            return multiple()
        if zero:
            assert item[:] == bytes(self.sizes[name])
        item[0] = used % 256
        self.used[name] += 1
        return self._born(item, Life(name, item[:]))

    @rule(target=items, name=zones, count=st.integers(0, 40))
    def alloc_many(self, name: str, count: int) -> Any:
        limit, used = self.limits[name], self.used[name]
        try:
            got = self._zone(name, False).alloc_many(count, M_NOWAIT)
        except shmalloc.ZoneExhausted:
            assert limit
            assert used + count > limit
            return multiple()
        except OutOfMemory:
            return multiple()
        assert len(got) == count
        self.used[name] += count
        return multiple(*[self._born(item, Life(name, item[:])) for item in got])

    @rule(pair=items, data=st.binary(max_size=300), offset=st.integers(0, 5000))
    def write(self, pair: tuple[Item, Life], data: bytes, offset: int) -> None:
        item, life = pair
        if item.freed:
            with pytest.raises(shmalloc.ItemFreed):
                item.write(data)
        elif offset + len(data) > len(life.data):
            with pytest.raises(shmalloc.InvalidArgument):
                item.write(data, offset)
        else:
            assert item.write(data, offset) == len(data)
            life.data[offset : offset + len(data)] = data

    @rule(pair=items)
    def read(self, pair: tuple[Item, Life]) -> None:
        item, life = pair
        if not item.freed:
            assert item[:] == life.data
            assert bytes(memoryview(item)) == life.data
            assert item.zone.name == life.zone

    @rule(pair=consumes(items), twice=st.booleans())
    def free(self, pair: tuple[Item, Life], twice: bool) -> None:
        item, life = pair
        if item.freed:
            return
        item.free()
        assert item.freed
        del self.held[id(life)]
        self.used[life.zone] -= 1
        if twice:
            with pytest.raises(shmalloc.DoubleFree):
                item.free()

    @rule(step=st.integers(2, 5))
    def free_many(self, step: int) -> None:
        chosen = dict(list(self.held.items())[::step])
        for name in self.sizes:
            mine = [
                pair
                for pair in chosen.values()
                if pair[1].zone == name and pair[0].zone.arena is self.arena and not pair[0].freed
            ]
            self.arena.zone(name).free_many([item for item, _ in mine])
            self.used[name] -= len(mine)
            for _, life in mine:
                del self.held[id(life)]

    @rule(pair=consumes(items))
    def put(self, pair: tuple[Item, Life]) -> None:
        item, life = pair
        if item.freed:
            return
        if item.zone.arena is not self.arena:
            with pytest.raises(shmalloc.ForeignItem):
                self.queue.put(item, timeout=0)
            return
        try:
            self.queue.put(item, timeout=0)
        except shmalloc.QueueFull:
            assert len(self.queued) == 5
            return
        del self.held[id(life)]
        self.queued.append(life)
        assert item.freed

    @rule(target=items, side=st.booleans())
    def get(self, side: bool) -> Any:
        queue = (self.other if side else self.arena).queue("q")
        if not self.queued:
            with pytest.raises(shmalloc.QueueEmpty):
                queue.get(timeout=0)
            return multiple()
        item, life = queue.get(timeout=0), self.queued.pop(0)
        assert item[:] == life.data
        return self._born(item, life)

    @rule(target=tickets, pair=consumes(items))
    def ticket(self, pair: tuple[Item, Life]) -> Any:
        item, life = pair
        if item.freed:
            return multiple()
        del self.held[id(life)]
        return item.ticket(), life

    @rule(target=items, ticket=consumes(tickets), side=st.booleans())
    def adopt(self, ticket: tuple[int, Life], side: bool) -> Any:
        handle, life = ticket
        item = (self.other if side else self.arena).adopt(handle)
        assert item[:] == life.data
        with pytest.raises((shmalloc.StaleHandle, shmalloc.NotOwner)):
            self.arena.adopt(handle)
        return self._born(item, life)

    @rule(name=zones, limit=st.integers(0, 60))
    def set_max(self, name: str, limit: int) -> None:
        effective = self.arena.zone(name).set_max(limit)
        assert effective >= limit
        assert (effective == 0) == (limit == 0)
        self.limits[name] = effective

    @rule(level=st.sampled_from([shmalloc.RECLAIM_TRIM, shmalloc.RECLAIM_DRAIN, shmalloc.RECLAIM_DRAIN_CPU]))
    def reclaim(self, level: int) -> None:
        assert self.arena.reclaim(level) >= 0

    @invariant()
    def used_counts_agree(self) -> None:
        if hasattr(self, "arena"):
            figures = {f.name: f.used for f in self.arena.zone_statistics()}
            assert figures == self.used
            assert len(self.queue) == len(self.queued)


ArenaMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestArenaModel = ArenaMachine.TestCase
