"""The workloads by name.

Owns the list. Must not import shmalloc's command line or the runner.
"""

from __future__ import annotations

from typing import Final

from workloads.stress.base import Workload
from workloads.stress.churn import Churn
from workloads.stress.crossfree import CrossFree
from workloads.stress.forkstorm import ForkStorm
from workloads.stress.forward import Forward
from workloads.stress.ips import Ips
from workloads.stress.killstorm import KillStorm
from workloads.stress.larson import Larson
from workloads.stress.limits import Limits
from workloads.stress.nfsleak import NfsLeak
from workloads.stress.packets import Packets
from workloads.stress.refcnt import RefCnt
from workloads.stress.rip import Rip
from workloads.stress.sockets import Sockets

_KINDS: Final[tuple[type[Workload], ...]] = (
    Churn,
    CrossFree,
    Larson,
    Limits,
    RefCnt,
    ForkStorm,
    KillStorm,
    Packets,
    Forward,
    Sockets,
    Rip,
    NfsLeak,
    Ips,
)
WORKLOADS: Final[dict[str, type[Workload]]] = {workload.name: workload for workload in _KINDS}


class UnknownWorkload(LookupError):
    """No workload of that name. Field: name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no workload is called {name!r}; there are {', '.join(WORKLOADS)}")
        self.name = name


def find(name: str) -> type[Workload]:
    """The workload of a name. Raises: UnknownWorkload."""
    try:
        return WORKLOADS[name]
    except KeyError:
        raise UnknownWorkload(name) from None
