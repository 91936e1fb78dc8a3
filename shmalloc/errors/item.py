"""Errors about items and handles. Owns the classes and their sentences."""

from dataclasses import dataclass

from shmalloc.errors.base import ShmallocError

__all__ = [
    "DoubleFree",
    "ForeignItem",
    "ForkedItem",
    "InCallback",
    "ItemError",
    "ItemFreed",
    "MemoryModified",
    "MisalignedItem",
    "NotOwner",
    "StaleHandle",
]


@dataclass(eq=False, repr=False, kw_only=True)
class ItemError(ShmallocError):
    """An item or a handle is not what the call needs."""

    zone: str = ""
    handle: int | None = None

    sentence = "cannot be used here"
    advice = ""

    def __str__(self) -> str:
        which = f"item {self.handle:#x}" if self.handle is not None else "the item"
        zone = f" of zone {self.zone!r}" if self.zone else ""
        more = f" ({self.detail})" if self.detail else ""
        return f"{which}{zone} {self.sentence}{more}" + (f"; {self.advice}" if self.advice else "")


@dataclass(eq=False, repr=False, kw_only=True)
class DoubleFree(ItemError):
    """The item is free already."""

    sentence = "is already free"
    advice = "one owner frees an item, once"


@dataclass(eq=False, repr=False, kw_only=True)
class ForeignItem(ItemError):
    """The item or handle does not belong to this zone or arena."""

    sentence = "does not belong to this zone or arena"
    advice = "give it back to the zone it came from: item.free()"


@dataclass(eq=False, repr=False, kw_only=True)
class MisalignedItem(ItemError):
    """The address points into an item."""

    sentence = "is not where an item begins"
    advice = "use the item's own handle"


@dataclass(eq=False, repr=False, kw_only=True)
class StaleHandle(ItemError):
    """The handle is of an earlier life of the item."""

    sentence = "is of an earlier life: the memory was freed since"
    advice = "hand over an item with put(), ticket() or pickle, once, and adopt it once"


@dataclass(eq=False, repr=False, kw_only=True)
class NotOwner(ItemError):
    """Another CPU holds the item."""

    sentence = "is held by another process"
    advice = "let its owner hand it over with put(), ticket() or pickle"


@dataclass(eq=False, repr=False, kw_only=True)
class ItemFreed(ItemError, ValueError):
    """The Item object no longer stands for memory: freed, or handed over."""

    sentence = "is gone from this process"
    advice = "allocate or receive another one"


@dataclass(eq=False, repr=False, kw_only=True)
class ForkedItem(ItemError):
    """The item was inherited through fork and belongs to the parent."""

    sentence = "was inherited through fork and belongs to the parent process"
    advice = "hand it over with put() or ticket(), or allocate one in this process"


@dataclass(eq=False, repr=False, kw_only=True)
class InCallback(ItemError):
    """The item, or the arena, is inside a ctor, dtor, init or fini."""

    sentence = "is inside a ctor, dtor, init or fini"
    advice = "a callback may look at the memory it was given, and nothing else of this item"


@dataclass(eq=False, repr=False, kw_only=True)
class MemoryModified(ItemError):
    """A debug zone found memory modified after free, or beyond the item's end."""

    sentence = "was modified after it was freed, or beyond its end"
    advice = "look for a view that outlived free(), or for a write past the end"
