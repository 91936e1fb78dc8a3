"""Class numbers and instance numbers of watched locks. Owns the bound on classes that a process makes of one kind."""

import itertools
import os

from witness import _witness
from witness.foreign import creation_site

__all__ = ["Classes", "instance_number", "instance_of"]

_MOST = 128  # names of one kind in one process: those that are made at random must not fill the table of all
_counted = itertools.count(1)


class Classes:
    """The classes of one kind: `kind` is what records call it, `rules` those of `witness.flags`."""

    def __init__(self, watch: _witness.Watch, kind: str, rules: int, *, skipped: tuple[str, ...] = ()) -> None:
        self.watch = watch
        self.kind = kind
        self.rules = rules
        self.skipped = (*skipped, os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep)
        self.known: dict[str, int | None] = {}

    def here(self) -> int | None:
        """The class of a lock that the caller's program makes now, by the line; see `named`."""
        word = self.kind.rpartition(":")[2].removeprefix("threading.")
        return self._class(f"{creation_site(self.skipped)} {word}")

    def named(self, name: str) -> int | None:
        """The class of this name; None: there are too many, its locks are not watched."""
        return None if len(self.known) >= _MOST and name not in self.known else self._class(name)

    def _class(self, name: str) -> int | None:
        name = name.encode("utf-8", "replace")[-63:].decode("utf-8", "ignore")
        if name not in self.known:
            try:
                self.known[name] = self.watch.class_get(name, self.kind, 0, self.rules)
            except _witness.CoreError:
                self.known[name] = None  # the record says that the tables are full: Graph.off_reason
        return self.known[name]


def instance_number() -> int:
    """A number for a lock of this process that no other of the process has; see `instance_of`."""
    return next(_counted)


def instance_of(name: str) -> int:
    """The instance of a lock that processes know by a name: the same everywhere."""
    from hashlib import blake2b  # for programs with such locks alone: it loads OpenSSL

    return int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()) >> 1
