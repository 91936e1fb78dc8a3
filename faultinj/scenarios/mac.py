"""MAC labels: policies that come and go, labels that are made, copied and refused."""

from faultinj.scenarios.mbuf_get import mbufs
from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT
from shmalloc.mac import Mac

GROUP = "mac"

LABELS = {"made": 0, "ended": 0}


def make(how: int) -> int:
    """A policy's init: a number for the slot."""
    LABELS["made"] += 1
    return 5


def copy(new: int, old: int, how: int) -> int:
    """A policy's copy."""
    return old


def destroy(slot: int) -> None:
    """A policy's destroy; told also of slots that were never made."""
    if slot:
        LABELS["ended"] += 1


def _off(ctx: Context) -> None:
    mac = mbufs(ctx).mac
    mac.labelling = "off"
    for policy in mac.policies():
        mac.unregister(policy.name)


def _clean(ctx: Context) -> Mac:
    _off(ctx)
    ctx.later(lambda: _off(ctx))
    LABELS.update(made=0, ended=0)
    ctx.promise(_balanced)
    return mbufs(ctx).mac


def _balanced() -> str | None:
    if LABELS["made"] != LABELS["ended"]:
        return f"{LABELS['made']} label slots were made and {LABELS['ended']} destroyed, although no packet is left"
    return None


@scenario(
    "mac.register",
    group=GROUP,
    covers=("Mbufs.mac", "Mac.register", "Mac.register_test", "Mac.unregister", "Mac.policies", "Mac.statistics"),
    settle=_off,
    text="policies are added and removed",
)
def mac_register(ctx: Context) -> Steps:
    """A policy that could not be added leaves no slot."""
    mac = _clean(ctx)
    yield
    mac.register("sweep", init=make, destroy=destroy, copy=copy, wants_labels=True)
    mac.register_test()
    mac.policies()
    mac.statistics()
    mac.unregister("mac_test")
    mac.unregister("sweep")


@scenario(
    "mac.label",
    group=GROUP,
    covers=("Mac.labelling", "Mac.label"),
    settle=_off,
    text="packets with labels of two policies: made, copied, freed",
)
def mac_label(ctx: Context) -> Steps:
    """When one policy refuses, the other's slot is destroyed, and there is no packet."""
    mac = _clean(ctx)
    mb = mbufs(ctx)
    mac.register("sweep", init=make, destroy=destroy, copy=copy)
    mac.register_test()
    yield
    mac.labelling = "all"
    packet = mb.m_gethdr(M_NOWAIT)
    assert mac.label(packet) is not None
    cluster = mb.m_getcl(M_NOWAIT)
    twin = cluster.m_copypacket(M_NOWAIT)
    apart = packet.m_dup(M_NOWAIT)
    for one in (packet, cluster, twin, apart):
        one.m_freem()
    mac.labelling = "off"


@scenario("mac.policy", group=GROUP, covers=("Mac.labelling",), settle=_off, text="labels only when a policy asks")
def mac_policy(ctx: Context) -> Steps:
    """No policy asks, no label."""
    mac = _clean(ctx)
    mb = mbufs(ctx)
    mac.register_test()
    yield
    mac.labelling = "policy"
    mb.m_gethdr(M_NOWAIT).m_freem()
    mac.labelling = "off"
