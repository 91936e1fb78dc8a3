"""Ways to send 2 KiB from one process to another: one class for each, with the tight loops that a user would write.

Owns the loops and the objects behind them. Must not take the time. Side 0 opens first and makes what both need; ping
and pong are the two ends of round trips, send and receive those of a stream. Every end copies the payload out of its
own bytes and into new ones, except that an echo may hand on what it got where the product can do that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from workloads.bench.build import Unavailable
from workloads.bench.cleanup import remove_objects
from workloads.bench.statements import iceoryx2_node, import_or_refuse

MESSAGE_BYTES = 2048
PAYLOAD = bytes(range(256)) * (MESSAGE_BYTES // 256)
DEPTH = 256
BURST = 64


class Link(Protocol):
    """One end of a connection."""

    streams: ClassVar[str]  # empty, or why there is no stream to measure

    def __init__(self, mark: str, side: int, shared: Any) -> None: ...

    def ping(self, n: int) -> None:
        """Send n messages, each after the answer to the one before."""

    def pong(self, n: int) -> None:
        """Answer n messages."""

    def send(self, n: int) -> None:
        """Send n messages without waiting for answers."""

    def receive(self, n: int) -> None:
        """Take n messages."""

    def close(self) -> None:
        """Leave; the side that made the connection removes it."""


class ShmallocLink:
    """An arena's queues, one item a call."""

    streams: ClassVar[str] = ""

    def __init__(self, mark: str, side: int, shared: Any) -> None:
        shmalloc = import_or_refuse("shmalloc", "shmalloc", "Arena")
        self._side = side
        if side == 0:
            self._arena = shmalloc.Arena.create(mark, max_size="256M")
            self._zone = self._arena.zone("message", size=MESSAGE_BYTES, prealloc=2048)
        else:
            self._arena = shmalloc.Arena.attach(mark)
            self._zone = self._arena.zone("message")
        there = self._arena.queue("there", depth=DEPTH)
        back = self._arena.queue("back", depth=DEPTH)
        self._out, self._in = (there, back) if side == 0 else (back, there)

    def ping(self, n: int) -> None:
        alloc, put, get = self._zone.alloc, self._out.put, self._in.get
        for _ in range(n):
            item = alloc()
            item.write(PAYLOAD)
            put(item)
            get().read()

    def pong(self, n: int) -> None:
        put, get = self._out.put, self._in.get
        for _ in range(n):
            put(get())

    def send(self, n: int) -> None:
        alloc, put = self._zone.alloc, self._out.put
        for _ in range(n):
            item = alloc()
            item.write(PAYLOAD)
            put(item)

    def receive(self, n: int) -> None:
        get = self._in.get
        for _ in range(n):
            get().read()

    def close(self) -> None:
        if self._side == 0:
            self._arena.unlink()
        self._arena.close()


class ShmallocBurstLink(ShmallocLink):
    """The same queues, many items a call."""

    def send(self, n: int) -> None:
        alloc_many, put_many = self._zone.alloc_many, self._out.put_many
        for _ in range(0, n, BURST):
            items = alloc_many(BURST)
            for item in items:
                item.write(PAYLOAD)
            done = put_many(items)
            while done < BURST:
                done += put_many(items[done:])

    def receive(self, n: int) -> None:
        get_many = self._in.get_many
        got = 0
        while got < n:
            items = get_many(BURST)
            for item in items:
                item.read()
            got += len(items)


class KickmsgLink:
    """Two publish-subscribe regions; the reader polls, which is kickmsg's fastest way."""

    streams: ClassVar[str] = "a slow reader loses messages: there is no lossless stream to time"

    def __init__(self, mark: str, side: int, shared: Any) -> None:
        kickmsg = import_or_refuse("kickmsg", "kickmsg", "SharedRegion")
        config = kickmsg.Config()
        config.max_payload_size = MESSAGE_BYTES
        config.sub_ring_capacity = DEPTH
        config.pool_size = 2 * DEPTH
        kind = kickmsg.ChannelType.PubSub
        self._side = side
        self._regions = [
            kickmsg.SharedRegion.create_or_open(f"/{mark}-{way}", kind, config, "bench") for way in ("there", "back")
        ]
        out, back = self._regions if side == 0 else reversed(self._regions)
        self._out = kickmsg.Publisher(out)
        self._in = kickmsg.Subscriber(back)

    def ping(self, n: int) -> None:
        send, receive = self._out.send, self._in.try_receive
        for _ in range(n):
            send(PAYLOAD)
            while receive() is None:
                pass

    def pong(self, n: int) -> None:
        send, receive = self._out.send, self._in.try_receive
        for _ in range(n):
            while (message := receive()) is None:
                pass
            send(message)

    def send(self, n: int) -> None:
        raise Unavailable(self.streams)

    def receive(self, n: int) -> None:
        raise Unavailable(self.streams)

    def close(self) -> None:
        del self._out, self._in
        if self._side == 0:
            for region in self._regions:
                region.unlink()


class CloudtoidLink:
    """Two byte queues; both ends poll."""

    streams: ClassVar[str] = ""

    def __init__(self, mark: str, side: int, shared: Any) -> None:
        cloudtoid = import_or_refuse("cloudtoid_interprocess", "cloudtoid-interprocess", "Publisher")
        ways = (f"{mark}-there", f"{mark}-back")
        out, back = ways if side == 0 else reversed(ways)
        capacity = DEPTH * MESSAGE_BYTES * 2
        self._out = cloudtoid.Publisher(out, capacity)
        self._in = cloudtoid.Subscriber(back, capacity)

    def ping(self, n: int) -> None:
        send, receive = self._out.try_send, self._in.try_receive
        for _ in range(n):
            while not send(PAYLOAD):
                pass
            while receive() is None:
                pass

    def pong(self, n: int) -> None:
        send, receive = self._out.try_send, self._in.try_receive
        for _ in range(n):
            while (message := receive()) is None:
                pass
            while not send(message):
                pass

    def send(self, n: int) -> None:
        send = self._out.try_send
        for _ in range(n):
            while not send(PAYLOAD):
                pass

    def receive(self, n: int) -> None:
        receive = self._in.try_receive
        for _ in range(n):
            while receive() is None:
                pass

    def close(self) -> None:
        self._out.close()
        self._in.close()


class Iceoryx2Link:
    """Two publish-subscribe services; payloads are copied in and out of the loaned samples."""

    streams: ClassVar[str] = "a slow reader loses messages: there is no lossless stream to time"

    def __init__(self, mark: str, side: int, shared: Any) -> None:
        iox2 = import_or_refuse("iceoryx2", "iceoryx2", "NodeBuilder")
        self._mark = mark.replace("-", "")
        self._side = side
        self._node = iceoryx2_node(iox2, self._mark)
        services = [
            self._node.service_builder(iox2.ServiceName.new(f"bench/{way}"))
            .publish_subscribe(iox2.Slice[ctypes.c_uint8])
            .open_or_create()
            for way in ("there", "back")
        ]
        out, back = services if side == 0 else reversed(services)
        self._out = out.publisher_builder().initial_max_slice_len(MESSAGE_BYTES).create()
        self._in = back.subscriber_builder().create()

    def _send(self, payload: bytes) -> None:
        sample = self._out.loan_slice_uninit(MESSAGE_BYTES)
        ctypes.memmove(sample.payload().data_ptr, payload, MESSAGE_BYTES)
        sample.assume_init().send()

    def _receive(self) -> bytes:
        while (sample := self._in.receive()) is None:
            pass
        payload = ctypes.string_at(sample.payload().data_ptr, MESSAGE_BYTES)
        sample.delete()
        return payload

    def ping(self, n: int) -> None:
        for _ in range(n):
            self._send(PAYLOAD)
            self._receive()

    def pong(self, n: int) -> None:
        for _ in range(n):
            self._send(self._receive())

    def send(self, n: int) -> None:
        raise Unavailable(self.streams)

    def receive(self, n: int) -> None:
        raise Unavailable(self.streams)

    def close(self) -> None:
        del self._out, self._in, self._node
        if self._side == 0:
            remove_objects(self._mark)


class QueueLink:
    """multiprocessing.Queue: a pipe, a lock and a feeder thread. shared is the pair of queues."""

    streams: ClassVar[str] = ""

    def __init__(self, mark: str, side: int, shared: Any) -> None:
        self._out, self._in = shared if side == 0 else reversed(shared)

    def ping(self, n: int) -> None:
        for _ in range(n):
            self._out.put(PAYLOAD)
            self._in.get()

    def pong(self, n: int) -> None:
        for _ in range(n):
            self._out.put(self._in.get())

    def send(self, n: int) -> None:
        for _ in range(n):
            self._out.put(PAYLOAD)

    def receive(self, n: int) -> None:
        for _ in range(n):
            self._in.get()

    def close(self) -> None:
        self._out.close()
        self._out.join_thread()


LINKS: dict[str, Callable[[str, int, Any], Link]] = {
    "shmalloc": ShmallocLink,
    "shmalloc-burst": ShmallocBurstLink,
    "kickmsg": KickmsgLink,
    "cloudtoid": CloudtoidLink,
    "iceoryx2": Iceoryx2Link,
    "mp.Queue": QueueLink,
}
