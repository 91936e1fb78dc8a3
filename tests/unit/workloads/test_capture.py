"""Captures of both formats are read; anything else is refused with its reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import dpkt
import pytest

from workloads.capture import KINDS, BadCapture, kind_of, read_capture


def udp_frame(source: int, target: int, payload: bytes, *, ends: tuple[bytes, bytes]) -> bytes:
    udp = dpkt.udp.UDP(sport=source, dport=target, data=payload, ulen=8 + len(payload))
    ip = dpkt.ip.IP(src=ends[0], dst=ends[1], p=17, data=udp, len=28 + len(payload))
    return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, data=ip))


HERE, THERE = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
FRAMES = [udp_frame(4000 + n, 53, bytes(n), ends=(HERE, THERE)) for n in range(5)]


@pytest.fixture
def pcap(tmp_path: Path) -> Path:
    path = tmp_path / "five.pcap"
    with path.open("wb") as stream:
        writer = dpkt.pcap.Writer(stream)
        for place, frame in enumerate(FRAMES):
            writer.writepkt(frame, ts=place)
    return path


def test_the_bundled_capture_holds_a_download_and_name_queries() -> None:
    capture = read_capture()
    kinds = [KINDS[kind_of(frame.data, capture.ip_offset)] for frame in capture.frames]
    assert (kinds.count("http") > 100, kinds.count("dns") > 100, capture.total_bytes > 300_000) == (True, True, True)
    assert all(zlib.crc32(frame.data) == frame.crc for frame in capture.frames)


def test_a_pcap_is_read_frame_by_frame(pcap: Path) -> None:
    capture = read_capture(str(pcap))
    assert [frame.data for frame in capture.frames] == FRAMES
    assert (capture.source, capture.largest_bytes) == ("five.pcap", len(FRAMES[-1]))


def test_a_pcapng_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "five.pcapng"
    with path.open("wb") as stream:
        writer = dpkt.pcapng.Writer(stream)
        for frame in FRAMES:
            writer.writepkt(frame)
    assert [frame.data for frame in read_capture(str(path)).frames] == FRAMES


def test_both_directions_of_a_conversation_are_one_flow(tmp_path: Path) -> None:
    path = tmp_path / "talk.pcap"
    asked = udp_frame(4000, 53, b"?", ends=(HERE, THERE))
    answered = udp_frame(53, 4000, b"!", ends=(THERE, HERE))
    other = udp_frame(4001, 53, b"?", ends=(HERE, THERE))
    with path.open("wb") as stream:
        writer = dpkt.pcap.Writer(stream)
        for frame in (asked, answered, other):
            writer.writepkt(frame, ts=0)
    flows = [frame.flow for frame in read_capture(str(path)).frames]
    assert flows[0] == flows[1]
    assert flows[0] != flows[2]


def test_frames_of_an_unknown_link_type_are_replayed_too(tmp_path: Path) -> None:
    path = tmp_path / "odd.pcap"
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 147)
    path.write_bytes(header + struct.pack("<IIII", 0, 0, 3, 3) + b"abc")
    capture = read_capture(str(path))
    assert (capture.ip_offset, KINDS[kind_of(capture.frames[0].data, capture.ip_offset)]) == (None, "other")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\x7fELF and so on", "is not a capture"),
        (b"\xd4\xc3\xb2\xa1\2\0", "damaged or cut short"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0", "damaged or cut short"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1), "holds no frames"),
    ],
)
def test_a_file_that_is_no_capture_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(BadCapture, match=reason):
        read_capture(str(path))


def test_a_capture_cut_anywhere_is_refused(pcap: Path) -> None:
    whole = pcap.read_bytes()
    ends = {24 + sum(16 + len(frame) for frame in FRAMES[:n]) for n in range(1, 6)}
    cut = pcap.with_name("cut.pcap")
    for size in range(1, len(whole)):
        cut.write_bytes(whole[:size])
        if size in ends:
            assert len(read_capture(str(cut)).frames) < len(FRAMES)
            continue
        with pytest.raises(BadCapture):
            read_capture(str(cut))


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCapture, match="no such file"):
        read_capture(str(tmp_path / "missing"))
    with pytest.raises(BadCapture, match="is a directory"):
        read_capture(str(tmp_path))
