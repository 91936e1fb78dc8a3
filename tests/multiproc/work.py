"""What child processes of the tests do. Module-level, so that every start method finds it."""

import hashlib
import os
import random
from multiprocessing.connection import Connection
from typing import Any

import shmalloc
from shmalloc import M_NOWAIT, Arena, CpuSlotsExhausted, Item, Mbuf, Mbufq, Mbufs, Queue, Zone


def stamp(mem: memoryview, size: int, arg: object, how: int) -> None:
    """A ctor: the pid of the process that ran it."""
    mem[:8] = os.getpid().to_bytes(8, "little")


def who_constructs(name: str) -> tuple[int, int]:
    """(pid in a freshly constructed item, own pid)."""
    with Arena.attach(name) as arena:
        item = arena.zone("z").alloc()
        return int.from_bytes(item[:8], "little"), os.getpid()


def receive_item(item: Item) -> tuple[bytes, int | None]:
    """Reads an item that came as an argument."""
    return item.read(5), item.zone.arena.cpu_id


def use_handles(arena: Arena, zone: Zone, queue: Queue) -> str:
    """Uses what came as arguments, and answers through the queue."""
    item = zone.alloc()
    item.write(b"from the child")
    queue.put(item, timeout=30)
    return f"{arena.name} {zone.name} {queue.name}"


def produce(name: str, seed: int, count: int) -> None:
    """Sends count items of random bytes, each with its digest in front."""
    rng = random.Random(seed)
    with Arena.attach(name) as arena:
        zone, queue = arena.zone("packet"), arena.queue("q")
        for _ in range(count):
            item = zone.alloc(timeout=30)
            body = rng.randbytes(rng.randint(1, 200))
            item.write(hashlib.sha256(body).digest())
            item[32] = len(body)
            item.write(body, 33)
            queue.put(item, timeout=30)


def consume(name: str, count: int) -> int:
    """Receives count items and frees them here. Returns: how many were damaged."""
    damaged = 0
    with Arena.attach(name) as arena:
        queue = arena.queue("q")
        for _ in range(count):
            item = queue.get(timeout=30)
            body = item.read(item[32], 33)
            damaged += item.read(32) != hashlib.sha256(body).digest()
            item.free()
    return damaged


def attach_or_say_why(name: str, go: Connection) -> str:
    """Attaches, says so and stays until told to go."""
    try:
        arena = Arena.attach(name)
    except CpuSlotsExhausted as error:
        go.send("full")
        return str(error.max_cpus)
    with arena:
        go.send("in")
        go.recv()
    return "attached"


def hold_and_vanish(name: str, count: int, ready: Connection) -> None:
    """Holds items and dies without a word."""
    arena = Arena.attach(name)
    items = arena.zone("z").alloc_many(count)
    ready.send([item.handle for item in items])
    os._exit(0)


def wait_at_limit(name: str, ready: Connection) -> str:
    """Sleeps at the zone's limit until somebody frees, or a signal comes."""
    with Arena.attach(name) as arena:
        zone = arena.zone("z")
        ready.send("waiting")
        try:
            zone.alloc(timeout=50).free()
        except KeyboardInterrupt:
            return "interrupted"
        return "got one"


def touch_inherited(arena: Arena, item: Item, freed: list[Item]) -> dict[str, Any]:
    """In a forked child: tries everything with the parent's item."""
    names = {}
    uses = {
        "getitem": lambda: item[0],
        "setitem": lambda: item.__setitem__(0, 1),
        "read": item.read,
        "write": lambda: item.write(b"x"),
        "view": lambda: memoryview(item),
        "free": item.free,
        "ticket": item.ticket,
        "handle": lambda: item.handle,
        "put": lambda: arena.queue("q").put(item, timeout=0),
        "free_many": lambda: arena.zone("z").free_many([item]),
    }
    for moment in ("before", "after"):
        for use, call in uses.items():
            try:
                call()
                names[f"{use} {moment}"] = "nothing"
            except shmalloc.ShmallocError as error:
                names[f"{use} {moment}"] = type(error).__name__
        arena.zone("z").alloc().free()  # claims a slot of this process's own
    freed.clear()
    return {"uses": names, "cpu": arena.cpu_id, "freed": item.freed}


def churn(name: str, seed: int, rounds: int) -> int:
    """Allocates and frees at random; some items are left to the exit."""
    rng = random.Random(seed)
    held: list[Item] = []
    with Arena.attach(name) as arena:
        zones = [arena.zone("small"), arena.zone("large")]
        for _ in range(rounds):
            if held and rng.random() < 0.5:
                item = held.pop(rng.randrange(len(held)))
                assert item[0] == item[len(item) - 1]
                item.free()
            else:
                item = rng.choice(zones).alloc()
                item[0] = item[len(item) - 1] = rng.randint(0, 255)
                held.append(item)
    return len(held)


def receive_packet(packet: Mbuf) -> tuple[bytes, int, int]:
    """(bytes, mbufs, clusters in use) of a packet that came as an argument."""
    return bytes(packet), len(list(packet)), packet.mbufs.statistics().clusters.current


def hold_packets(name: str, ready: Connection) -> None:
    """Takes every packet out of the queue, says how many, and dies without a word when told to go."""
    arena = Arena.attach(name)
    queue, held = arena.queue("q"), []
    try:
        while True:
            held.append(queue.get(timeout=0))
    except shmalloc.QueueEmpty:
        ready.send(len(held))
    ready.recv()
    os._exit(0)


def forward(name: str, count: int) -> int:
    """Receives packets, checks them, prepends a header and sends them on. Returns: how many were damaged."""
    damaged = 0
    with Arena.attach(name) as arena:
        source, sink = arena.queue("in"), arena.queue("out")
        for _ in range(count):
            packet = source.get(timeout=30)
            body = bytes(packet)
            damaged += body[:32] != hashlib.sha256(body[32:]).digest()
            packet.m_prepend(14)
            packet.m_copyback(0, b"H" * 14)
            packet.m_pullup(46)
            sink.put(packet, timeout=30)
    return damaged


def stream_out(name: str, seed: int, nbytes: int) -> str:
    """Sends random bytes through the sockbuf "tcp" in pieces of random size. Returns: their digest."""
    rng, digest = random.Random(seed), hashlib.sha256()
    with Arena.attach(name) as arena:
        mb = arena.mbufs()
        with mb.sockbuf("tcp") as sb:
            while nbytes:
                piece = rng.randbytes(min(nbytes, rng.randint(1, 3000)))
                packet = mb.m_getcl()
                packet.m_append(piece)
                digest.update(piece)
                nbytes -= len(piece)
                sb.sbappendstream(packet, timeout=30)
    return digest.hexdigest()


def stream_in(name: str, seed: int, nbytes: int) -> str:
    """The other end. Returns: the digest of what came."""
    rng, digest = random.Random(seed), hashlib.sha256()
    with Arena.attach(name) as arena, arena.mbufs().sockbuf("tcp") as sb:
        while nbytes:
            got = bytes(sb.receive(rng.randint(1, 5000), timeout=30))
            digest.update(got)
            nbytes -= len(got)
    return digest.hexdigest()


def use_inherited(packet: Mbuf, row: Mbufq) -> list[str]:
    """What a forked child may do with its parent's packets."""
    told = []
    for call in (packet.free, packet.tobytes, row.dequeue, lambda: packet.m_append(b"x")):
        try:
            call()
        except shmalloc.ShmallocError as error:
            told.append(type(error).__name__)
    return told


def use_own_after_fork(name: str, mb: Mbufs) -> int:
    """A forked child's own packets, through the inherited Mbufs. Returns: bytes."""
    packet = mb.m_getcl()
    packet.m_append(name.encode())
    return len(packet)


def plan_of(seed: int, nbytes: int) -> list[tuple[str, int]]:
    """What to do with a packet of so many bytes: the same in the process that does it and in the one that checks."""
    rng, plan = random.Random(seed), []
    for _ in range(rng.randint(1, 8)):
        call = rng.choice(
            ["m_adj", "m_append", "m_prepend", "m_split", "m_copyback", "m_dup", "m_copypacket", "m_pullup"]
        )
        number = rng.randint(0, min(nbytes, 150))
        plan.append((call, number))
        nbytes += {"m_adj": -number, "m_append": number, "m_prepend": number}.get(call, 0)
        nbytes = number if call == "m_split" else nbytes
    return plan


def shape_bytes(data: bytes, plan: list[tuple[str, int]]) -> bytes:
    """What plain bytes become by the plan."""
    for call, n in plan:
        if call == "m_adj":
            data = data[n:]
        elif call == "m_append":
            data += b"A" * n
        elif call == "m_prepend":
            data = b"P" * n + data
        elif call == "m_split":
            data = data[:n]
        elif call == "m_copyback":
            data = b"B" * min(n, len(data)) + data[n:]
    return data


def shape_packet(packet: Mbuf, plan: list[tuple[str, int]]) -> Mbuf:
    """What a packet becomes by the plan, M_NOWAIT where it may be said. Raises: NoBuffers, OutOfMemory."""
    for call, n in plan:
        if call == "m_append":
            packet.m_append(b"A" * n)
        elif call == "m_prepend":
            packet.m_prepend(n, M_NOWAIT)
            packet.m_copyback(0, b"P" * n)
        elif call == "m_copyback":
            packet.m_unshare(M_NOWAIT)
            packet.m_copyback(0, b"B" * min(n, len(packet)))
        elif call == "m_split":
            packet.m_split(n, M_NOWAIT)
        elif call in ("m_dup", "m_copypacket"):
            packet = getattr(packet, call)(M_NOWAIT)
        else:
            getattr(packet, call)(n)
    return packet


def shaper(name: str) -> tuple[int, int]:
    """Shapes packets by the seed in their header until one has none; what fails it sends back empty, and a fresh
    packet for one that is gone. Returns: (shaped, failed)."""
    shaped = failed = 0
    with Arena.attach(name) as arena:
        source, sink, mb = arena.queue("in"), arena.queue("out"), arena.mbufs()
        while True:
            packet = source.get(timeout=30)
            seed = packet.pkthdr.rcvif
            if seed == 0:
                return shaped, failed
            try:
                packet = shape_packet(packet, plan_of(seed, len(packet)))
                shaped += 1
            except (shmalloc.NoBuffers, shmalloc.OutOfMemory):
                del packet
                packet = mb.m_gethdr()
                failed += 1
                seed = 0
            packet.pkthdr.rcvif = seed
            sink.put(packet, timeout=30)
