"""Descriptors and what is done with them: open() and its files, os.open, read, write, close, fsync, pipes, locks,
mappings."""

import errno

from faultinj.run.places.place import Place

__all__ = ["FILES"]

_OPENED = (errno.ENFILE, errno.EACCES, errno.ENOENT, errno.ENOSPC, errno.EROFS, errno.EIO, errno.ENOMEM)
_WRITTEN = (errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EPIPE, errno.EAGAIN)
_SYNCED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

FILES = (
    Place("file.open", (), errno.EMFILE, "open() has no descriptor left", _OPENED),
    Place("file.read", (), errno.EIO, "a file made by open() cannot be read", (errno.EAGAIN,), moves=1,
          least=0, looks=True),
    Place("file.write", (), errno.ENOSPC, "what a file made by open() writes or flushes finds a full disk", _WRITTEN,
          moves=1),
    Place("file.close", (), errno.EIO, "closing a file made by open() tells that its data is lost; it is closed",
          (errno.ENOSPC, errno.EDQUOT), after=True),
    Place("os.open", ("os:open",), errno.EMFILE, "no descriptor is left", _OPENED, ("path",)),
    Place("os.read", ("os:read", "os:pread"), errno.EIO, "a descriptor cannot be read", (errno.EAGAIN,), moves=1,
          least=0, looks=True),
    Place("os.write", ("os:write", "os:pwrite"), errno.ENOSPC, "a descriptor finds a full disk", _WRITTEN, moves=1),
    Place("os.sendfile", ("os:sendfile",), errno.ENOSPC, "the kernel cannot copy on", (errno.ENOMEM, *_WRITTEN),
          moves=3),
    Place("os.copy_file_range", ("os:copy_file_range",), errno.ENOSPC, "the kernel cannot copy on",
          (errno.EXDEV, errno.ENOMEM, *_WRITTEN), moves=2),
    Place("os.close", ("os:close",), errno.EIO, "closing a descriptor tells that its data is lost; it is closed",
          (errno.ENOSPC, errno.EDQUOT), after=True),
    Place("os.fsync", ("os:fsync", "os:fdatasync"), errno.EIO, "the disk refuses to make it last", _SYNCED),
    Place("os.truncate", ("os:truncate",), errno.EIO, "a file keeps its length", (errno.EFBIG, errno.EPERM),
          ("path",)),
    Place("os.ftruncate", ("os:ftruncate",), errno.EIO, "a file keeps its length", (errno.EFBIG, errno.EPERM)),
    Place("os.posix_fallocate", ("os:posix_fallocate",), errno.ENOSPC, "there is no room to set aside",
          (errno.EFBIG, errno.EIO, errno.EOPNOTSUPP)),
    Place("os.pipe", ("os:pipe", "os:pipe2"), errno.EMFILE, "no descriptor is left for a pipe", (errno.ENFILE,)),
    Place("os.dup", ("os:dup", "os:dup2"), errno.EMFILE, "no descriptor is left for a copy", (errno.ENFILE,)),
    Place("fcntl.lock", ("fcntl:flock", "fcntl:lockf"), errno.ENOLCK, "no lock on a file can be had",
          (errno.EAGAIN, errno.EDEADLK)),
    Place("mmap.mmap", ("mmap:mmap",), errno.ENOMEM, "there is no room for a mapping",
          (errno.EAGAIN, errno.EACCES, errno.ENFILE)),
)  # fmt: skip
