"""Descriptors and what is done with them: open() and its files, os.open, read, write, fsync, pipes, mappings."""

import errno

from faultinj.run.places.place import Place

__all__ = ["FILES"]


FILES = (
    Place("file.open", "", errno.EMFILE, "open() has no descriptor left"),
    Place("file.read", "", errno.EIO, "a file made by open() cannot be read"),
    Place("file.write", "", errno.ENOSPC, "what a file made by open() writes or flushes finds a full disk"),
    Place("os.open", "os:open", errno.EMFILE, "no descriptor is left", ("path",)),
    Place("os.read", "os:read", errno.EIO, "a descriptor cannot be read"),
    Place("os.write", "os:write", errno.ENOSPC, "a descriptor finds a full disk"),
    Place("os.fsync", "os:fsync", errno.EIO, "the disk refuses to make it last"),
    Place("os.pipe", "os:pipe", errno.EMFILE, "no descriptor is left for a pipe"),
    Place("mmap.mmap", "mmap:mmap", errno.ENOMEM, "there is no room for a mapping"),
)
