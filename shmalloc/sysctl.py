"""The tunables of one arena as a mapping. Owns no value: they are in the arena's control page."""

from collections.abc import Iterator, MutableMapping

from shmalloc import _native
from shmalloc.errors import InvalidArgument
from shmalloc.mbuf_sysctl import MBUF_TUNABLES, describe_mbuf, get_mbuf, names_here, set_mbuf
from shmalloc.stats import Tunable

__all__ = ["Sysctl"]

_CATALOGUE = _native.tunables()
_PLACES = {row[0]: place for place, row in enumerate(_CATALOGUE)}


class Sysctl(MutableMapping[str, int]):
    """Named numbers that may be read and set while the arena runs; every process sees a new value at once.

    Those of mbufs (kern.ipc.*, security.mac.*) are there once a process has called arena.mbufs().

    Source: sysctl(8).

    >>> with shmalloc.Arena.create(name) as arena:
    ...     arena.sysctl["vm.uma.warn_s"] = 60
    ...     arena.sysctl["vm.uma.warn_s"], "vm.uma.wss_ms" in arena.sysctl
    (60, True)
    """

    __slots__ = ("_arena",)

    def __init__(self, arena: _native.Attachment) -> None:
        self._arena = arena

    def __getitem__(self, name: str) -> int:
        if name in MBUF_TUNABLES:
            return get_mbuf(self._arena, name)
        return _native.tunable_get(self._arena, _place(name))

    def __setitem__(self, name: str, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is an int, not {type(value).__name__}")
        if name in MBUF_TUNABLES:
            set_mbuf(self._arena, name, value)
            return
        place = _place(name)
        _, _, least, most, _ = _CATALOGUE[place]
        if not least <= value <= most:
            raise InvalidArgument(argument=name, value=value, allowed=f"{least} .. {most}")
        _native.tunable_set(self._arena, place, value)

    def __delitem__(self, name: str) -> None:
        """Set the tunable back to its default."""
        if name in MBUF_TUNABLES:
            set_mbuf(self._arena, name, None)
            return
        place = _place(name)
        _native.tunable_set(self._arena, place, _CATALOGUE[place][1])

    def __iter__(self) -> Iterator[str]:
        return iter([*_PLACES, *names_here(self._arena)])

    def __len__(self) -> int:
        return len(_PLACES) + len(names_here(self._arena))

    def describe(self, name: str) -> Tunable:
        """Value, default, range and meaning of one tunable. Raises: KeyError."""
        if name in MBUF_TUNABLES:
            return describe_mbuf(self._arena, name)
        _, default, least, most, text = _CATALOGUE[_place(name)]
        return Tunable(name, self[name], default, least, most, text)


def _place(name: str) -> int:
    try:
        return _PLACES[name]
    except KeyError:
        raise KeyError(f"there is no tunable {name!r}; see: shmalloc sysctl") from None
