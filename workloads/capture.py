"""Read a capture: pcap or pcapng in, frames ready for replay out.

Owns the reading of files and the little parsing that replay needs (flow, kind). Must not touch an arena.
The bundled capture is read once per process and kept; replay only hands out references.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import dpkt

BUNDLED: Final = "loopback.pcap"
KINDS: Final = ("tcp", "udp", "http", "dns", "icmp", "other")
KIND_OTHER: Final = KINDS.index("other")

_HTTP_PORT = 80
_DNS_PORT = 53
_TCP, _UDP, _HTTP, _DNS, _ICMP = (KINDS.index(name) for name in ("tcp", "udp", "http", "dns", "icmp"))
# Where the IP header starts, by link type (pcap LINKTYPE_ values): null, Ethernet, raw, SLL, SLL2.
_IP_OFFSETS: Final = {0: 4, 1: 14, 12: 0, 14: 0, 101: 0, 108: 4, 113: 16, 276: 20, 228: 0, 229: 0}
_PCAP_MAGICS: Final = {b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d"}
_PCAPNG_MAGIC: Final = b"\x0a\x0d\x0d\x0a"
_PCAP_FILE_HEADER_BYTES = 24
_PCAP_RECORD_HEADER_BYTES = 16
_LARGEST_FRAME_BYTES = 262_144
_PORTS = struct.Struct("!HH")


class BadCapture(Exception):
    """The file cannot be replayed. Fields: path, reason; the message says what to do."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}. Give a pcap or pcapng file, or none for the bundled capture.")
        self.path = path
        self.reason = reason


class Frame(NamedTuple):
    """One captured frame. crc: CRC-32 of data; flow: equal for both directions of one conversation."""

    data: bytes
    crc: int
    flow: int


class Capture(NamedTuple):
    """A whole capture. ip_offset: where IP starts in a frame, None when the link type is not known."""

    source: str
    frames: tuple[Frame, ...]
    ip_offset: int | None
    largest_bytes: int
    total_bytes: int


def read_capture(path: str | None = None) -> Capture:
    """Read a capture file, or the bundled one.

    Raises: BadCapture: missing, unreadable, not a capture, cut short, or without frames.
    """
    return _bundled() if path is None else _read(Path(path), Path(path).name)


@cache
def _bundled() -> Capture:
    bundled = resources.files("workloads").joinpath("captures", BUNDLED)
    with resources.as_file(bundled) as real:
        return _read(real, BUNDLED)


def _read(path: Path, source: str) -> Capture:
    shown = str(path)
    try:
        size = path.stat().st_size
        stream = path.open("rb")
    except FileNotFoundError:
        raise BadCapture(shown, "no such file") from None
    except IsADirectoryError:
        raise BadCapture(shown, "is a directory") from None
    except OSError as error:
        raise BadCapture(shown, f"cannot be read ({error.strerror})") from None
    with stream:
        magic = stream.read(4)
        stream.seek(0)
        if not magic:
            raise BadCapture(shown, "is empty")
        if magic not in _PCAP_MAGICS and magic != _PCAPNG_MAGIC:
            raise BadCapture(shown, f"is not a capture (it starts with {magic.hex(' ')})")
        try:
            reader = dpkt.pcap.UniversalReader(stream)
            link_type = int(reader.datalink())
            frames = tuple(_frames(reader, shown))
        except (dpkt.Error, ValueError, struct.error, IndexError, KeyError) as error:
            raise BadCapture(shown, f"is damaged or cut short ({type(error).__name__}: {error})") from error
    if not frames:
        raise BadCapture(shown, "holds no frames")
    total = sum(len(frame.data) for frame in frames)
    if magic in _PCAP_MAGICS and not _ends_with_a_record(path, size):
        raise BadCapture(shown, "is cut short: its last record is not whole")
    ip_offset = _IP_OFFSETS.get(link_type)
    keyed = tuple(Frame(frame.data, frame.crc, _flow_of(frame.data, ip_offset)) for frame in frames)
    return Capture(source, keyed, ip_offset, max(len(frame.data) for frame in keyed), total)


def _frames(reader: dpkt.pcap.UniversalReader, shown: str) -> Iterator[Frame]:
    for _, data in reader:
        if len(data) > _LARGEST_FRAME_BYTES:
            raise BadCapture(
                shown, f"holds a frame of {len(data)} bytes; the largest that is replayed is {_LARGEST_FRAME_BYTES}"
            )
        if data:
            yield Frame(bytes(data), zlib.crc32(data), 0)


def _ends_with_a_record(path: Path, size: int) -> bool:
    """Walk the record headers of a pcap. dpkt hands out a short last frame silently; only the lengths tell."""
    with path.open("rb") as stream:
        order = "<" if stream.read(4) in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        at = _PCAP_FILE_HEADER_BYTES
        while at + _PCAP_RECORD_HEADER_BYTES <= size:
            stream.seek(at + 8)
            (captured,) = struct.unpack(order + "I", stream.read(4))
            at += _PCAP_RECORD_HEADER_BYTES + captured
    return at == size


def _transport(data: bytes, ip_offset: int | None) -> tuple[int, int] | None:
    """(protocol, offset of the transport header) of an IP frame; None for anything else."""
    if ip_offset is None or len(data) < ip_offset + 20:
        return None
    version = data[ip_offset] >> 4
    if version == 4:
        return data[ip_offset + 9], ip_offset + (data[ip_offset] & 15) * 4
    if version == 6 and len(data) >= ip_offset + 40:
        return data[ip_offset + 6], ip_offset + 40
    return None


def _flow_of(data: bytes, ip_offset: int | None) -> int:
    found = _transport(data, ip_offset)
    if found is None or ip_offset is None:
        return zlib.crc32(data[:64])
    protocol, at = found
    version = data[ip_offset] >> 4
    first, last, width = (12, 16, 4) if version == 4 else (8, 24, 16)
    ends = [data[ip_offset + first : ip_offset + first + width], data[ip_offset + last : ip_offset + last + width]]
    if protocol in (6, 17) and len(data) >= at + 4:
        ends = [ends[0] + data[at : at + 2], ends[1] + data[at + 2 : at + 4]]
    return zlib.crc32(b"".join(sorted(ends)), protocol)


def kind_of(data: bytes, ip_offset: int | None) -> int:
    """What a frame is, as an index into KINDS, read from its bytes."""
    found = _transport(data, ip_offset)
    if found is None:
        return KIND_OTHER
    protocol, at = found
    if protocol in (6, 17) and len(data) >= at + 4:
        source, target = _PORTS.unpack_from(data, at)
        if source == _DNS_PORT or target == _DNS_PORT:
            return _DNS
        if protocol == 17:
            return _UDP
        return _HTTP if source == _HTTP_PORT or target == _HTTP_PORT else _TCP
    return _ICMP if protocol in (1, 58) else KIND_OTHER
