"""MAC policies and labels from Python."""

import errno

import pytest

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK, Arena, CtorFailed, InvalidArgument, Mac, Mbufs, PolicyError
from unit.shmalloc import callback_functions as calls


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    calls.log.clear()
    return arena.mbufs(64)


@pytest.fixture
def mac(mb: Mbufs) -> Mac:
    return mb.mac


def test_labels_are_made_as_labelling_says(mb: Mbufs, mac: Mac) -> None:
    slot = mac.register("quiet", init=calls.label_init)
    assert mac.labelling == "off"
    assert mac.label(mb.m_gethdr()) is None
    mac.labelling = "policy"
    assert mac.label(mb.m_gethdr()) is None
    mac.register("wants", destroy=calls.label_destroy, wants_labels=True)
    label = mac.label(mb.m_getcl())
    assert label is not None
    assert label[slot] == 0xFEED
    mac.labelling = "all"
    assert mac.label(mb.m_gethdr()) is not None
    with pytest.raises(InvalidArgument, match="off, all, policy"):
        mac.labelling = "some"


def test_a_policy_hears_of_every_label(mb: Mbufs, mac: Mac) -> None:
    slot = mac.register("p", init=calls.label_init, copy=calls.label_copy, destroy=calls.label_destroy)
    mac.labelling = "all"
    packet = mb.m_getcl(M_NOWAIT)
    twin = packet.m_copypacket(M_WAITOK)
    label = mac.label(twin)
    assert label is not None
    assert label[slot] == 0xFEED + 1
    del packet, twin
    assert calls.log == [
        ("label init", M_NOWAIT),
        ("label init", M_WAITOK),
        ("label copy", 0xFEED, 0xFEED, M_WAITOK),
        ("label destroy", 0xFEED),
        ("label destroy", 0xFEED + 1),
    ]
    figures = mac.statistics()
    assert (figures.made, figures.ended, figures.reaped, figures.labelling) == (2, 2, 0, "all")


def test_a_refused_label_fails_the_packet_and_is_unwound_on_all(mb: Mbufs, mac: Mac) -> None:
    mac.register_test()
    mac.register("refuses", init=calls.label_refuse)
    mac.register("hears", destroy=calls.label_destroy)
    mac.labelling = "all"
    for get in (mb.m_gethdr, mb.m_getcl, mb.m_getjcl):
        with pytest.raises(CtorFailed) as caught:
            get()
        assert caught.value.errno == errno.EPERM
        assert isinstance(caught.value.__cause__, PermissionError)
    assert mb.m_get() is not None
    assert calls.log == [("label destroy", 0)] * 3
    test = mac.statistics().test
    assert (test.made, test.destroyed, test.violations) == (3, 3, 0)
    assert [policy.refused for policy in mac.policies()] == [0, 3, 0]
    s = mb.statistics()
    assert (s.mbufs.current, s.clusters.current, s.tags.current) == (0, 0, 0)


def test_the_test_policy_counts_and_finds_nothing_wrong(mb: Mbufs, mac: Mac) -> None:
    slot = mac.register_test()
    mac.labelling = "policy"
    packets = [mb.m_getcl() for _ in range(5)]
    packets += [packet.m_copypacket() for packet in packets]
    assert len({label[slot] for packet in packets if (label := mac.label(packet))}) == 10
    packets.clear()
    test = mac.statistics().test
    assert (test.made, test.destroyed, test.copied, test.violations) == (10, 10, 5, 0)


def test_policies_come_and_go_by_name(mb: Mbufs, mac: Mac) -> None:
    mac.register("a", init=calls.label_init)
    with pytest.raises(PolicyError, match="name is there already"):
        mac.register("a", init=calls.label_init)
    mac.labelling = "all"
    packet = mb.m_gethdr()
    with pytest.raises(PolicyError, match="alive"):
        mac.unregister("a")
    packet.free()
    mac.unregister("a")
    with pytest.raises(PolicyError, match="no policy"):
        mac.unregister("a")
    with pytest.raises(InvalidArgument, match="at least one"):
        mac.register("none")
    with pytest.raises(shmalloc.CallbackUnresolvable):
        mac.register("lambda", init=lambda how: None)
    for number in range(8):
        mac.register(f"p{number}", destroy=calls.label_destroy)
    with pytest.raises(shmalloc.TableFull):
        mac.register("ninth", destroy=calls.label_destroy)
    assert [policy.name for policy in mac.policies()] == [f"p{number}" for number in range(8)]
