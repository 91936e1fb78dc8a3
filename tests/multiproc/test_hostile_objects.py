"""Full file systems and damaged objects: clear errors, nothing half-made, no crash, no hang."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmalloc import Arena, ArenaError

SMALL = """
import os, sys, shmalloc
name = "small"
try:
    shmalloc.Arena.create(name, max_size="64M", max_cpus=4000, max_zones=4000)
except shmalloc.OutOfMemory as error:
    print("create", error.free_bytes > 0, os.listdir("/dev/shm"))
arena = shmalloc.Arena.create(name, max_size="64M", max_cpus=2)
zone = arena.zone("z", size=65536)
items = []
try:
    while True:
        items.append(zone.alloc(shmalloc.M_NOWAIT))
        items[-1][:] = bytes(65536)
except shmalloc.OutOfMemory as error:
    print("alloc", len(items) > 2, 0 <= error.free_bytes < 1 << 20, "/dev/shm" in str(error))
try:
    zone.alloc(shmalloc.M_WAITOK, timeout=0.05)
except shmalloc.ShmallocError as error:
    print("waitok", type(error).__name__)
zone.free_many(items)
print("check", arena.check().findings)
arena.reclaim(shmalloc.RECLAIM_DRAIN_CPU)
again = [zone.alloc(shmalloc.M_NOWAIT) for _ in range(3)]
print("again", len(again))
arena.unlink()
print("left", os.listdir("/dev/shm"))
"""


def test_a_full_dev_shm_is_an_error_that_names_the_free_space() -> None:
    unshare, mount = shutil.which("unshare"), shutil.which("mount")
    if unshare is None or mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs over /dev/shm needs root, unshare(1) and mount(8)")
    if subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this container does not allow a mount namespace")
    script = f'{mount} -t tmpfs -o size=3m,mode=1777 tmpfs /dev/shm && exec "$0" -P -c "$1"'
    ran = subprocess.run(
        [unshare, "-m", "sh", "-c", script, sys.executable, SMALL],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "mount" in ran.stderr and "Traceback" not in ran.stderr:
        pytest.skip(f"mounting is not allowed here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    said = dict(line.split(" ", 1) for line in ran.stdout.splitlines())
    assert said["create"] == "True []"
    assert said["alloc"] == "True True True"
    assert said["waitok"] in ("OutOfMemory", "ZoneExhausted")
    assert said["check"] == "()"
    assert said["again"] == "3"
    assert said["left"] == "[]"


@pytest.fixture(scope="module")
def good_header() -> tuple[bytes, int]:
    """The first page of a good arena, and the size of its object."""
    name = f"test{os.getpid()}-header"
    with Arena.create(name, max_size="1M", max_cpus=4, max_zones=8, max_queues=4) as arena:
        path = Path(f"/dev/shm/shmalloc.{name}")
        header, size = path.read_bytes()[:4096], path.stat().st_size
        arena.unlink()
    return header, size


def _attach(name: str, content: bytes, size: int) -> str:
    """What attaching to an object of this content says."""
    path = Path(f"/dev/shm/shmalloc.{name}")
    path.write_bytes(content)
    os.truncate(path, size)
    start = time.monotonic()
    try:
        with Arena.attach(name, read_only=True) as arena:
            arena.statistics()
            said = "attached"
    except ArenaError as error:
        said = type(error).__name__ if str(error) else "nothing"
    finally:
        path.unlink()
    assert time.monotonic() - start < 20
    return said


SLOW = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = settings(SLOW, max_examples=50)  # an object that may be half made is waited for


@SLOW
@given(bits=st.lists(st.integers(0, 4096 * 8 - 1), min_size=1, max_size=8, unique=True))
def test_flipped_header_bits_never_crash_or_hang(
    good_header: tuple[bytes, int], arena_name: str, bits: list[int]
) -> None:
    header, size = good_header
    damaged = bytearray(header)
    for bit in bits:
        damaged[bit // 8] ^= 1 << (bit % 8)
    assert _attach(arena_name, bytes(damaged), size) != "nothing"


def test_every_field_of_the_header_is_guarded(good_header: tuple[bytes, int], arena_name: str) -> None:
    header, size = good_header
    rng = random.Random(11)
    for offset in range(96):
        damaged = bytearray(header)
        damaged[offset] ^= 1 << rng.randrange(8)
        assert _attach(arena_name, bytes(damaged), size) != "attached", f"byte {offset} of the header"


@FEW
@given(content=st.binary(max_size=8192), size=st.integers(0, 1 << 22))
def test_arbitrary_objects_are_no_arenas(arena_name: str, content: bytes, size: int) -> None:
    assert _attach(arena_name, content, size) != "attached"


@FEW
@given(keep=st.integers(0, 1 << 26))
def test_truncated_objects_are_refused(good_header: tuple[bytes, int], arena_name: str, keep: int) -> None:
    header, size = good_header
    if keep < size:
        assert _attach(arena_name, header[:keep], keep) != "attached"


def test_an_object_that_nobody_finishes_is_half_made(arena_name: str) -> None:
    assert _attach(arena_name, b"", 0) == "ArenaHalfMade"
    assert _attach(arena_name, bytes(4096), 1 << 20) in ("NotAnArena", "ArenaHalfMade")
