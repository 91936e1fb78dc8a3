"""forward: a router. Frames of a real capture come in, get an encapsulation, are cut in two and leave by another CPU.

Every worker is both cards of a router. As the receiving one it takes a frame into an mbuf with a cluster (half of them
with headroom, as drivers leave it), prepends the encapsulation header, which is the cookie and holds a checksum over
the chain, pulls up the headers, splits behind them, and queues both pieces, each with its own checksum, to the worker
that owns the flow. As the sending one it verifies each piece, joins them, verifies the whole against its cookie and
against the capture, and frees.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import shmalloc
from shmalloc import M_FIRSTFRAG, M_FRAG, M_LASTFRAG, M_NOWAIT, MCLBYTES, MJUM9BYTES, MJUM16BYTES, MJUMPAGESIZE
from workloads import cookie
from workloads.capture import KINDS, Capture, Frame, kind_of, read_capture
from workloads.context import OrderKeeper, Worker, make_inboxes, open_inboxes
from workloads.cookie import COOKIE_BYTES
from workloads.records import Settings
from workloads.stress.base import Workload
from workloads.stress.sealed_packet import SealedPacket, packet_crc

BATCH: Final = 64
DEPTH: Final = 512
# A frame is followed by its trailer: when it came in, and which frame of the capture it is.
TRAILER: Final = struct.Struct("<QI")
# What is pulled up and split off: the encapsulation, and headers of Ethernet, IP and TCP without options.
HEADERS_BYTES: Final = 54
CUT: Final = COOKIE_BYTES + HEADERS_BYTES
_CLUSTERS: Final = 1536
_JUMBOS: Final = {MJUMPAGESIZE: 256, MJUM9BYTES: 128, MJUM16BYTES: 64}


class Forward(Workload):
    """One operation is one frame received, encapsulated, cut, handed over, joined, verified and freed."""

    name: ClassVar[str] = "forward"
    summary: ClassVar[str] = "a real capture through mbufs: prepend, pullup, split, freed on another CPU"
    replays = True

    def __init__(self) -> None:
        self._capture: Capture
        self._mbufs: shmalloc.Mbufs
        self._inboxes: Sequence[shmalloc.Queue] = ()
        self._unsent: dict[int, list[shmalloc.Mbuf]] = {}
        self._heads: dict[int, shmalloc.Mbuf] = {}
        self._order: OrderKeeper
        self._kinds = [0] * len(KINDS)
        self._frame_bytes = 0

    def prepare(self, arena: shmalloc.Arena, settings: Settings) -> None:
        read_capture(settings.pcap)
        cpus = settings.cpus
        arena.mbufs(
            _CLUSTERS * cpus,
            nmbjumbop=_JUMBOS[MJUMPAGESIZE] * cpus,
            nmbjumbo9=_JUMBOS[MJUM9BYTES] * cpus,
            nmbjumbo16=_JUMBOS[MJUM16BYTES] * cpus,
        )
        make_inboxes(arena, cpus, DEPTH)

    def open(self, worker: Worker) -> None:
        self._capture = read_capture(worker.settings.pcap)
        self._mbufs = worker.leak_from = worker.arena.mbufs()
        self._inboxes = open_inboxes(worker.arena, worker.cpus)
        self._order = OrderKeeper(worker)
        self._unsent = {rank: [] for rank in range(worker.cpus)}

    def run(self, worker: Worker) -> None:
        frames = self._capture.frames
        at = worker.place_in([len(frame.data) for frame in frames])
        most = worker.few(BATCH)
        while worker.running():
            begin = time.perf_counter_ns()
            stuck = self._flush(worker)
            if not stuck or worker.settings.kills:
                batch = frames[at : at + most]
                self._take_in(worker, at, batch)
                at = at + most if at + most < len(frames) else 0
                stuck = self._flush(worker)
            self._consume(worker, 0.005 if stuck else 0.0)
            worker.pause(time.perf_counter_ns() - begin)
        self._publish_counts(worker)

    def drain(self, worker: Worker) -> None:
        for unsent in self._unsent.values():
            for piece in unsent:
                self._verify_piece(worker, piece, "unsent")
                piece.free()
            # The head of what was cut and sent in part waits for this tail.
            unsent.clear()
        while self._consume(worker, 0.0):
            continue
        for head in self._heads.values():
            head.free()
        self._heads.clear()
        self._publish_counts(worker)

    # ---- the receiving card

    def _card_of(self, worker: Worker, frame: Frame) -> int:
        if worker.cpus == 1:
            return 0
        # Every flow leaves by one card, and none by the card that it came in by: packets are freed elsewhere.
        return (worker.rank + 1 + frame.flow % (worker.cpus - 1)) % worker.cpus

    def _take_in(self, worker: Worker, first: int, batch: Sequence[Frame]) -> None:
        for place, frame in enumerate(batch):
            card = self._card_of(worker, frame)
            unsent = self._unsent[card]
            if len(unsent) > 2 * BATCH:
                worker.counts["dropped, no room in the queue"] += 1
                continue
            try:
                unsent.extend(self._forward(worker, frame, first + place))
            except shmalloc.ShmallocError as error:
                # As on a wire: what finds no buffer is dropped. What was begun has freed itself.
                worker.refused(error)
                worker.counts["dropped, no buffer"] += 1

    def _forward(self, worker: Worker, frame: Frame, index: int) -> list[shmalloc.Mbuf]:
        """Receive and shape one frame. Returns: its pieces. Raises: NoBuffers: nothing is left of it."""
        now = time.perf_counter_ns()
        packet = self._receive(frame, index, TRAILER.pack(now, index))
        length = len(packet)
        crc = packet_crc(packet)
        packet.m_prepend(COOKIE_BYTES, M_NOWAIT)
        sequence = worker.next_sequence()
        packet.m_copyback(0, cookie.made(worker.owner, sequence, length, crc))
        pieces = [packet]
        if len(packet) > CUT:
            packet.m_pullup(CUT)
            pieces.append(split_off(packet))
        for place, piece in enumerate(pieces):
            header = piece.pkthdr
            header.rcvif = worker.owner + 1
            header.header = sequence
            header.csum_data = packet_crc(piece)
            last = place == len(pieces) - 1
            piece.flags |= M_FRAG | (M_LASTFRAG if last else 0) | (0 if place else M_FIRSTFRAG)
        worker.sealed_now(SealedPacket(pieces[-1]), len(pieces[-1]))
        if not index & 63:
            worker.sample("receive, prepend, pullup and split", time.perf_counter_ns() - now)
        return pieces

    def _receive(self, frame: Frame, index: int, trailer: bytes) -> shmalloc.Mbuf:
        need = len(frame.data) + len(trailer)
        packet = self._getter(need)()
        if index & 1 and need + COOKIE_BYTES <= MCLBYTES:
            packet.m_align(need)
        packet.m_append(frame.data)
        packet.m_append(trailer)
        return packet

    def _getter(self, need: int) -> Callable[[], shmalloc.Mbuf]:
        if need <= MCLBYTES:
            return lambda: self._mbufs.m_getcl(M_NOWAIT)
        size = next((size for size in _JUMBOS if need <= size), 0)
        if size:
            return lambda: self._mbufs.m_getjcl(M_NOWAIT, size=size)
        return lambda: self._mbufs.m_getm2(need, M_NOWAIT)

    def _flush(self, worker: Worker) -> bool:
        """Send what waits, in order. Returns: whether something could not be sent."""
        stuck = False
        for card, pieces in self._unsent.items():
            if pieces:
                self._unsent[card] = left = worker.send(self._inboxes[card], pieces)
                stuck = stuck or bool(left)
        return stuck

    # ---- the sending card

    def _consume(self, worker: Worker, timeout: float) -> bool:
        pieces: list[shmalloc.Mbuf] = worker.receive(self._inboxes[worker.rank], BATCH * 2, timeout)
        for piece in pieces:
            self._verify_piece(worker, piece, "receipt")
            flags = piece.flags
            sender = piece.pkthdr.rcvif
            head = self._heads.pop(sender, None)
            if (head is None) != bool(flags & M_FIRSTFRAG):
                self._misfit(worker, head, piece, flags)
                continue
            if not flags & M_LASTFRAG:
                self._heads[sender] = piece
                continue
            if head is not None:
                if head.pkthdr.header != piece.pkthdr.header:
                    worker.violation("reassembly", f"the tail of packet {piece.pkthdr.header} follows another head")
                head.m_catpkt(piece)
            self._verify_packet(worker, piece if head is None else head)
        return bool(pieces)

    def _verify_piece(self, worker: Worker, piece: shmalloc.Mbuf, where: str) -> None:
        if packet_crc(piece) != piece.pkthdr.csum_data:
            worker.violation("corrupt-item", f"{where}: piece of packet {piece.pkthdr.header}: its checksum is wrong")

    def _misfit(self, worker: Worker, head: shmalloc.Mbuf | None, piece: shmalloc.Mbuf, flags: int) -> None:
        """A tail without its head, or a head after a head: only a killed sender may leave that."""
        if not worker.settings.kills:
            worker.violation("reassembly", f"packet {piece.pkthdr.header} comes without its other piece")
        if head is not None:
            head.free()
        if flags & M_FIRSTFRAG and not flags & M_LASTFRAG:
            self._heads[piece.pkthdr.rcvif] = piece
        else:
            piece.free()

    def _verify_packet(self, worker: Worker, packet: shmalloc.Mbuf) -> None:
        found = worker.verify(SealedPacket(packet), "receipt")
        if found is not None:
            self._order.saw(found)
            if found.owner == worker.owner and worker.cpus > 1:
                worker.violation("not-remote", f"packet {found.sequence} arrived where it was received")
            sealed_ns, index = TRAILER.unpack_from(found.payload, found.length - TRAILER.size)
            frame = self._capture.frames[index]
            if found.payload[: -TRAILER.size] != frame.data:
                worker.violation("corrupt-item", f"packet {found.sequence} is not frame {index} of the capture")
            self._kinds[kind_of(frame.data, self._capture.ip_offset)] += 1
            self._frame_bytes += len(frame.data)
            if not index & 63:
                worker.sample("from card to card", time.perf_counter_ns() - sealed_ns)
        packet.free()
        worker.ops += 1

    def _publish_counts(self, worker: Worker) -> None:
        for kind, count in zip(KINDS, self._kinds, strict=True):
            if count:
                worker.counts[f"frames {kind}"] = count
        worker.counts["frame bytes"] = self._frame_bytes


def split_off(packet: shmalloc.Mbuf) -> shmalloc.Mbuf:
    """Cut a packet behind its headers. Returns: the rest, as a packet. Raises: NoBuffers: all of it is freed."""
    try:
        rest = packet.m_split(CUT, M_NOWAIT)
    except shmalloc.NoBuffers:
        packet.free()
        raise
    assert rest is not None
    return rest
