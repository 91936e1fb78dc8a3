"""The block of a running arena or process, found from outside: nothing is armed here, and no point of it is reached.

Owns the search: an arena by its name, a process by its pid. Must not change what it finds.
"""

import os
from pathlib import Path

from faultinj._faultinj import Block, CoreError
from faultinj.arming import FaultinjError, NotArmed
from shmalloc import Arena, _native
from shmalloc.errors import ArenaNotFound
from shmalloc.naming import OBJECT_PREFIX, open_object

__all__ = ["BLOCK_PREFIX", "NoSuchTarget", "block_at"]

BLOCK_PREFIX = "faultinj."
"""Objects in /dev/shm that hold a block of a tree of processes are called so, followed by the pid of its first."""

_SHM = "/dev/shm/"


class NoSuchTarget(FaultinjError):
    """Neither an arena nor a process with a block that can be reached from outside."""


def block_at(target: str) -> tuple[Block, str]:
    """The block of an arena (its name) or of a process (its pid): its own object, else that of the armed arena it uses.

    Returns: the block and what it is called.
    Raises: NoSuchTarget, NotArmed, ArenaNotFound; FaultinjError: the block is of another version.
    """
    if target.isdigit() and not Path(_SHM + OBJECT_PREFIX[1:] + target).exists():
        return _block_of_process(int(target))
    return _block_of_arena(target), f"arena {target}"


def _block_of_arena(name: str) -> Block:
    with Arena.attach(name, read_only=True) as arena:  # read-only attachments are not armed
        if _native.region_bytes(arena, "faultinj", 1) is None:
            raise NotArmed(f"the arena {name!r} is not under faults; its program has to call faultinj.arm(arena)")
        try:
            with open_object(name, read_only=False) as fd:
                return Block.of_region(_native.hooks_capsule(arena), fd)
        except CoreError as error:
            raise FaultinjError(
                f"the block of arena {name!r} cannot be used: {error.code}; use the faultinj that armed it", error.code
            ) from error


def _mapped(pid: int) -> list[str]:
    """Objects of /dev/shm that the process has mapped and that still have their name, each once."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise NoSuchTarget(f"process {pid} cannot be looked at: {error.strerror}") from error
    paths = (line.partition(_SHM)[2] for line in lines if _SHM in line and not line.endswith("(deleted)"))
    return list(dict.fromkeys(paths))


def _named_block(pid: int) -> str | None:
    """FAULTINJ_BLOCK of the process's environment."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None  # another user's, or gone: its maps have told already
    for entry in raw.split(b"\0"):
        if entry.startswith(b"FAULTINJ_BLOCK="):
            return os.fsdecode(entry.partition(b"=")[2])
    return None


def _block_of_process(pid: int) -> tuple[Block, str]:
    mapped = _mapped(pid)
    objects = [_SHM + name for name in mapped if name.startswith(BLOCK_PREFIX)]
    for path in (*objects, *filter(None, [_named_block(pid)])):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # its tree of processes has ended meanwhile
        try:
            return Block.of_fd(fd, False), f"process {pid}"
        except CoreError as error:
            raise FaultinjError(
                f"the block {path} of process {pid} cannot be used: {error.code}; use the faultinj that made it",
                error.code,
            ) from error
        finally:
            os.close(fd)
    armed = []
    for name in (n.removeprefix(OBJECT_PREFIX[1:]) for n in mapped if n.startswith(OBJECT_PREFIX[1:])):
        try:
            armed.append((_block_of_arena(name), f"arena {name} of process {pid}"))
        except (NotArmed, ArenaNotFound):
            continue
    if len(armed) > 1:
        raise NoSuchTarget(f"process {pid} uses {len(armed)} armed arenas: name one: {', '.join(a for _, a in armed)}")
    if not armed:
        raise NoSuchTarget(
            f"process {pid} has no fault block that can be reached from outside; it has to call faultinj.arm(arena), or"
            " be started under `faultinj run` or with FAULTINJ_BLOCK"
        )
    return armed[0]
