"""What is done to names of files and directories."""

import errno

from faultinj.run.places.place import Place

__all__ = ["PATHS"]

PATHS = (
    Place("os.replace", "os:replace", errno.EACCES, "a file cannot take another's place", ("src", "dst")),
    Place("os.rename", "os:rename", errno.EACCES, "a file cannot be renamed", ("src", "dst")),
    Place("os.unlink", "os:unlink", errno.EACCES, "a file cannot be removed", ("path",)),
    Place("os.remove", "os:remove", errno.EACCES, "a file cannot be removed", ("path",)),
    Place("os.mkdir", "os:mkdir", errno.ENOSPC, "no directory can be made", ("path",)),
    Place("os.stat", "os:stat", errno.EACCES, "a file cannot be looked at", ("path",)),
    Place("os.listdir", "os:listdir", errno.EACCES, "a directory cannot be read", ("path",)),
)
