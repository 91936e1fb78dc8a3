# recovery.pxi - asking the core to reap the dead, and to copy the arena into a file. Owns nothing; figures go out as plain
# tuples in the order of the records of recovery.py.


def reap(Attachment at not None):
    """(found_ns, by_cpu, by_pid, dead, freed, uncached, kept, undone, requeued, stopped_ns, total_ns, cpus, zones): the
    fields of RecoveryReport; cpus are (cpu, pid, name, op, on, did, attached_ns)."""
    cdef sm_reap_report r
    cdef uint32_t i
    at.need()
    memset(&r, 0, sizeof(r))
    cdef sm_err err = sm_reap(at.a, &r)
    if err != SM_OK:
        fail(at, err, {"subject": "arena"})
    forget(at)
    cpus = tuple([(r.rr_cpu[i].rc_cpu, r.rr_cpu[i].rc_pid, text_of(r.rr_cpu[i].rc_name, SM_NAME_BYTES),
                   <uint32_t>SM_OP_OF(r.rr_cpu[i].rc_op), text_of(r.rr_cpu[i].rc_on, SM_NAME_BYTES),
                   <uint32_t>r.rr_cpu[i].rc_did, r.rr_cpu[i].rc_attached_ns)
                  for i in range(min(r.rr_cpus, SM_REAP_CPUS))])
    zones = tuple([(text_of(r.rr_zone[i].rz_name, SM_NAME_BYTES), r.rr_zone[i].rz_freed)
                   for i in range(min(r.rr_zones, SM_REAP_ZONES))])
    return (r.rr_at_ns, r.rr_by_cpu, r.rr_by_pid, r.rr_cpus, r.rr_freed, r.rr_uncached, r.rr_kept, r.rr_undone,
            r.rr_requeued, r.rr_stopped_ns, r.rr_total_ns, cpus, zones)


def op_name(uint64_t op):
    """An operation (enum sm_op) in words."""
    return (<bytes>sm_reap_op_name(op)).decode()


def dump(Attachment at not None, int fd):
    """(copied_bytes, object_bytes, stopped_ns) of a copy into the empty file behind fd."""
    cdef sm_dump_report r
    at.need()
    cdef sm_err err = sm_dump(at.a, fd, &r)
    if err != SM_OK:
        fail(at, err, {"subject": "dump"})
    return r.dr_copied_bytes, r.dr_object_bytes, r.dr_stopped_ns
