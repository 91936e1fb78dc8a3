"""What is done to names of files and directories."""

import errno

from faultinj.run.places.place import Place

__all__ = ["PATHS"]

_PATH = (errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO)
_CHANGED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EBUSY, *_PATH)

PATHS = (
    Place("os.replace", ("os:replace",), errno.EACCES, "a file cannot take another's place", (errno.EXDEV, *_CHANGED),
          ("src", "dst")),
    Place("os.rename", ("os:rename",), errno.EACCES, "a file cannot be renamed", (errno.EXDEV, *_CHANGED),
          ("src", "dst")),
    Place("os.link", ("os:link",), errno.EACCES, "a file gets no second name", (errno.EXDEV, errno.EMLINK, *_CHANGED),
          ("src", "dst")),
    Place("os.symlink", ("os:symlink",), errno.EACCES, "no link is made", (errno.EEXIST, *_CHANGED), ("src", "dst")),
    Place("os.unlink", ("os:unlink",), errno.EACCES, "a file cannot be removed", _CHANGED, ("path",)),
    Place("os.remove", ("os:remove",), errno.EACCES, "a file cannot be removed", _CHANGED, ("path",)),
    Place("os.mkdir", ("os:mkdir",), errno.ENOSPC, "no directory can be made",
          (errno.EACCES, errno.EEXIST, errno.EDQUOT, errno.EROFS, *_PATH), ("path",)),
    Place("os.rmdir", ("os:rmdir",), errno.ENOTEMPTY, "a directory stays", (errno.EACCES, *_CHANGED), ("path",)),
    Place("os.stat", ("os:stat", "os:lstat"), errno.EACCES, "a file cannot be looked at", _PATH, ("path",), looks=True),
    Place("os.chmod", ("os:chmod", "os:fchmod"), errno.EPERM, "a file keeps its mode",
          (errno.EROFS, errno.ENOENT, errno.EIO),
          ("path",)),
    Place("os.listdir", ("os:listdir", "os:scandir"), errno.EACCES, "a directory cannot be read",
          (errno.EMFILE, errno.ENFILE, *_PATH), ("path",), looks=True),
)  # fmt: skip
