"""What pickles of items, zones, queues and locks turn into in the receiving process. Owns nothing.

An Item's pickle is a ticket: tens of bytes, zero copy. Making it closes the sender's Item; loading it adopts the item,
once. A pickle that is thrown away leaves its item in transit until the sender's process ends.
"""

from shmalloc._native import Item, Mbuf, UserLock, lock_reopen
from shmalloc.attachments import attached
from shmalloc.mbuf import Mbufs
from shmalloc.queue import Queue
from shmalloc.sockbuf import Sockbuf
from shmalloc.zone import Zone

__all__ = ["adopt_item", "reopen_lock", "reopen_mbufs", "reopen_queue", "reopen_sockbuf", "reopen_zone"]


def adopt_item(name: str, uuid: int, handle: int) -> Item | Mbuf:
    """Take over a pickled item or packet. Raises: StaleHandle: adopted before. ArenaNotFound."""
    return attached(name, uuid).adopt(handle)


def reopen_zone(name: str, uuid: int, zone: str) -> Zone:
    """Open a pickled zone. Raises: ZoneNotFound, ArenaNotFound, CallbackUnresolvable."""
    return attached(name, uuid).zone(zone)


def reopen_queue(name: str, uuid: int, queue: str) -> Queue:
    """Open a pickled queue. Raises: ArenaNotFound."""
    return attached(name, uuid).queue(queue)


def reopen_mbufs(name: str, uuid: int) -> Mbufs:
    """Open the mbufs of a pickled Mbufs. Raises: ArenaNotFound."""
    return attached(name, uuid).mbufs()


def reopen_sockbuf(name: str, uuid: int, sockbuf: str) -> Sockbuf:
    """Open a pickled sockbuf. Raises: ArenaNotFound."""
    return attached(name, uuid).mbufs().sockbuf(sockbuf)


def reopen_lock(name: str, uuid: int, lock: str, lock_type: str | None = None, subclass: int = 0) -> UserLock:
    """Open a pickled lock, as it is. Raises: LockNotFound, ArenaNotFound."""
    return lock_reopen(attached(name, uuid), lock, lock_type, subclass)
