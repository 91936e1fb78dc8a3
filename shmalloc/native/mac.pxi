# mac.pxi - MAC policies and labels of packet headers. Owns nothing: policies are known to the arena by the names of their
# callbacks, labels lie in tags.


def mac_register(Mbufs mbs not None, name, bint wants_labels, str init, str destroy, str copy):
    """Add a policy by its callbacks' names, "" for none. Returns: its slot."""
    cdef sm_callback_shm cb[3]
    cdef uint32_t slot = 0
    cdef bytes raw = name_of("name", name, SM_NAME_BYTES - 1)
    mbs.at.need()
    callback_name(&cb[0], init)
    callback_name(&cb[1], destroy)
    callback_name(&cb[2], copy)
    mac_done(mbs, sm_mac_register(mbs.mb, raw, MAC_LABEL_MBUFS if wants_labels else 0, &cb[0], &cb[1], &cb[2], &slot),
             name)
    return slot


def mac_test_register(Mbufs mbs not None):
    """Add the policy that counts and checks labels. Returns: its slot."""
    cdef uint32_t slot = 0
    mbs.at.need()
    mac_done(mbs, sm_mac_test_register(mbs.mb, &slot), "mac_test")
    return slot


def mac_unregister(Mbufs mbs not None, name):
    """Remove a policy."""
    cdef bytes raw = name_of("name", name, SM_NAME_BYTES - 1)
    mbs.at.need()
    mac_done(mbs, sm_mac_unregister(mbs.mb, raw), name)


def mac_set_labelling(Mbufs mbs not None, uint32_t mode):
    """MAC_LABELS_OFF, _ALL or _BY_POLICY."""
    mbs.at.need()
    mac_done(mbs, sm_mac_set_labelling(mbs.mb, mode), "")


def mac_figures(Mbufs mbs not None):
    """(mode, policies as (slot, name, wants labels, refused, missed), labels made, ended, reaped, test policy's counters)."""
    cdef sm_mac_policy_t p
    cdef sm_mb_shm *s = mbs.mb.mb_shm
    cdef uint32_t i
    mbs.at.need()
    policies = []
    for i in range(MAC_SLOTS):
        if sm_mac_policy(mbs.mb, i, &p) == SM_OK:
            policies.append((i, text_of(p.mo_name, SM_NAME_BYTES), bool(p.mo_flags & MAC_LABEL_MBUFS), p.mo_refused,
                             p.mo_missed))
    test = (s.mb_mac_test.mt_made, s.mb_mac_test.mt_destroyed, s.mb_mac_test.mt_empty, s.mb_mac_test.mt_copied,
            s.mb_mac_test.mt_violations)
    return s.mb_label_mode, policies, s.mb_labels_made, s.mb_labels_ended, s.mb_labels_reaped, test


def mac_label_of(Mbuf packet not None):
    """The slots of the packet's label as a tuple of ints, None for one that no policy initialised; None: no label."""
    cdef mac_label *label
    cdef uint32_t i
    label = mac_mbuf_label(packet.b.mb, packet_header(packet))
    if label == NULL:
        if packet.b.mb.mb_err == SM_NOT_FOUND:
            return None
        mbuf_fail(packet.b.mb, packet.b.mb.mb_err, SM_MBZ_TAG, None, False)
    return tuple([label.l_slot[i] if label.l_ready >> i & 1 else None for i in range(MAC_SLOTS)])


cdef int mac_done(Mbufs mbs, sm_err err, object name) except -1:
    if err != SM_OK:
        fail(mbs.at, err, {"subject": "policy", "name": name, "most": MAC_SLOTS})
    return forget(mbs.at)
