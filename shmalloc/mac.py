"""MAC policies: 64 bits of every packet header's label, initialised, copied and destroyed by callbacks. Owns the
records; the framework is native.

A policy's callbacks are named like a zone's (shmalloc.callbacks), so that every process runs its own::

    init(how: int) -> int | None                       # what its slot holds from now on, None for 0; raising an OSError
                                                       # fails the allocation with that errno
    copy(new: int, old: int, how: int) -> int | None   # a copied packet's slot, None leaves what init made; may fail
    destroy(slot: int) -> None                         # also for a slot that was never initialised (0)

When one policy refuses, destroy is called on all of them, and the caller gets CtorFailed with the errno.
Source: FreeBSD mac(9), mac_net.c.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shmalloc import _native
from shmalloc.callbacks import Callback, name_callback
from shmalloc.errors import InvalidArgument

if TYPE_CHECKING:
    from shmalloc._native import Mbuf

__all__ = ["LABELS", "Mac", "MacPolicy", "MacStatistics", "MacTestCounters"]

LABELS = ("off", "all", "policy")


@dataclass(frozen=True, slots=True)
class MacPolicy:
    """One policy. refused: labels that it would not initialise or copy; missed: ends that it did not hear of, in
    processes that could not import its callbacks."""

    slot: int
    name: str
    wants_labels: bool
    refused: int
    missed: int


@dataclass(frozen=True, slots=True)
class MacTestCounters:
    """What the policy "mac_test" saw, in all processes together. empty: slots destroyed that were never initialised,
    because another policy refused; violations: destroyed twice, or a wrong magic."""

    made: int
    destroyed: int
    empty: int
    copied: int
    violations: int


@dataclass(frozen=True, slots=True)
class MacStatistics:
    """Labels of packet headers: those alive are made - ended - reaped; reaped ones died with their process."""

    labelling: str
    policies: tuple[MacPolicy, ...]
    made: int
    ended: int
    reaped: int
    test: MacTestCounters


class Mac:
    """Policies and labels of one arena; from ``arena.mbufs().mac``. Holds nothing but the Mbufs.

    >>> with shmalloc.Arena.create(name) as arena:
    ...     mac = arena.mbufs().mac
    ...     slot = mac.register_test()
    ...     mac.labelling = "all"
    ...     m = arena.mbufs().m_gethdr()
    ...     mac.label(m)[slot] is not None, mac.statistics().made
    (True, 1)
    """

    __slots__ = ("_mbufs",)

    def __init__(self, mbufs: _native.Mbufs) -> None:
        self._mbufs = mbufs

    def register(
        self,
        name: str,
        *,
        init: Callback | None = None,
        destroy: Callback | None = None,
        copy: Callback | None = None,
        wants_labels: bool = False,
    ) -> int:
        """Add a policy.

        Parameters: wants_labels: it asks for labels when labelling is "policy"; callbacks: see this module.
        Returns: its slot in every label made from now on.
        Raises: PolicyError: the name is taken. TableFull: eight are there. CallbackUnresolvable, InvalidArgument.
        """
        callbacks = {"init": init, "destroy": destroy, "copy": copy}
        names = ["" if call is None else name_callback(slot, call) for slot, call in callbacks.items()]
        if not any(names):
            raise InvalidArgument(argument="init", value=None, allowed="at least one of init, destroy and copy")
        return _native.mac_register(self._mbufs, name, wants_labels, *names)

    def register_test(self) -> int:
        """Add the policy "mac_test", which counts inits, copies and destroys and checks magics. Returns: its slot."""
        return _native.mac_test_register(self._mbufs)

    def unregister(self, name: str) -> None:
        """Remove a policy. Raises: PolicyError: there is none, or labels that it would have to hear of are alive."""
        _native.mac_unregister(self._mbufs, name)

    @property
    def labelling(self) -> str:
        """ "off", "all" (every new packet header gets a label) or "policy" (when a policy asks for labels)."""
        return LABELS[_native.mac_figures(self._mbufs)[0]]

    @labelling.setter
    def labelling(self, mode: str) -> None:
        if mode not in LABELS:
            raise InvalidArgument(argument="labelling", value=mode, allowed=", ".join(LABELS))
        _native.mac_set_labelling(self._mbufs, LABELS.index(mode))

    def label(self, packet: "Mbuf") -> tuple[int | None, ...] | None:
        """The packet's label, a slot for each policy, None where it has none; None: no label."""
        return _native.mac_label_of(packet)

    def policies(self) -> list[MacPolicy]:
        """The policies, by slot."""
        return [MacPolicy(*row) for row in _native.mac_figures(self._mbufs)[1]]

    def statistics(self) -> MacStatistics:
        """Figures of labels and policies."""
        mode, policies, made, ended, reaped, test = _native.mac_figures(self._mbufs)
        rows = tuple(MacPolicy(*row) for row in policies)
        return MacStatistics(LABELS[mode], rows, made, ended, reaped, MacTestCounters(*test))
