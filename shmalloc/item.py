"""Items: the memory itself, as writable buffers. Owns nothing: both types are native, which keeps a call short."""

from shmalloc._native import Item, RefCount

__all__ = ["Item", "RefCount"]
