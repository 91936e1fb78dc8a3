"""The scenarios that are shipped: every public operation of shmalloc. Importing this package registers them all.

A test compares them with the public API: an operation without a scenario is refused there.
"""

from faultinj.scenarios import (
    alloc,
    arena,
    callbacks,
    figures,
    items,
    locks,
    mac,
    malloc,
    mbuf_data,
    mbuf_get,
    mbuf_queue,
    mbuf_shape,
    mbuf_tag,
    processes,
    queues,
    recovery,
    sleep,
    sockbuf,
    zones,
)

__all__ = [
    "alloc",
    "arena",
    "callbacks",
    "figures",
    "items",
    "locks",
    "mac",
    "malloc",
    "mbuf_data",
    "mbuf_get",
    "mbuf_queue",
    "mbuf_shape",
    "mbuf_tag",
    "processes",
    "queues",
    "recovery",
    "sleep",
    "sockbuf",
    "zones",
]
