# catalogue.pxi - the core's constant tables. Owns nothing.

cdef extern from *:
    """
    struct row3 { const char *name; int rank; const char *text; };
    #define ROW_LOCK(id, name, rank, text) {name, rank, text},
    #define ROW_FAULT(id, name, err, text) {name, err, text},
    static const struct row3 lock_rows[] = {SM_LOCK_CLASSES(ROW_LOCK)};
    static const struct row3 fault_rows[] = {SM_FAULT_POINTS(ROW_FAULT)};
    """
    cdef struct row3:
        const char *name
        int rank
        const char *text
    row3 *lock_rows
    row3 *fault_rows


def lock_classes():
    """(name, rank, text) of the core's lock classes, the outermost first."""
    cdef int i
    return tuple(sorted([(lock_rows[i].name.decode(), lock_rows[i].rank, lock_rows[i].text.decode())
                         for i in range(SM_LC_COUNT)], key=lambda row: row[1]))


def fault_points():
    """(name, name of the error it makes, text) of the core's fault points."""
    cdef int i
    return tuple([(fault_rows[i].name.decode(), (<bytes>sm_err_name(<sm_err>fault_rows[i].rank)).decode(),
                   fault_rows[i].text.decode()) for i in range(SM_FP_COUNT)])


def invariants():
    """(number, title) of the invariants that check looks at."""
    cdef uint32_t i
    return tuple([(i, sm_check_title(i).decode()) for i in range(1, SM_INVARIANTS + 1)])


def tunables():
    """(name, default, least, most, text) of the tunables, in their order."""
    cdef int i
    return tuple([(sm_tunable_info[i].ti_name.decode(), sm_tunable_info[i].ti_default, sm_tunable_info[i].ti_least,
                   sm_tunable_info[i].ti_most, sm_tunable_info[i].ti_text.decode()) for i in range(SM_TU_COUNT)])


def tunable_get(Attachment at not None, int place):
    """The value of the tunable at this place of the catalogue."""
    at.need()
    if not 0 <= place < SM_TU_COUNT:
        refuse("place", place, f"0 .. {SM_TU_COUNT - 1}")
    return sm_tunable_get(at.a, <sm_tunable>place)


def tunable_set(Attachment at not None, int place, value):
    """Set the tunable at this place of the catalogue."""
    at.need()
    if not 0 <= place < SM_TU_COUNT:
        refuse("place", place, f"0 .. {SM_TU_COUNT - 1}")
    cdef sm_err err = sm_tunable_set(at.a, <sm_tunable>place, <int64_t>value)
    if err != SM_OK:
        fail(at, err, {"subject": "tunable", "argument": sm_tunable_info[place].ti_name.decode(), "value": value,
                       "allowed": f"{sm_tunable_info[place].ti_least} .. {sm_tunable_info[place].ti_most}"})


def errors():
    """(name, text) of the core's error codes."""
    out = []
    cdef int i = 0
    while (<bytes>sm_err_name(<sm_err>i)) != b"SM_UNKNOWN":
        out.append(((<bytes>sm_err_name(<sm_err>i)).decode(), (<bytes>sm_err_text(<sm_err>i)).decode()))
        i += 1
    return tuple(out)


def read_header(int fd):
    """Look at an object without mapping it.

    Returns: (name of the error code, "SM_OK" for a good header; dict of header fields as far as they could be read).
    """
    cdef sm_header_shm h
    memset(&h, 0, sizeof(h))
    cdef sm_err err = sm_arena_verify(fd, &h)
    return (<bytes>sm_err_name(err)).decode(), {
        "version": h.h_version, "object_bytes": h.h_object_bytes, "max_bytes": h.h_max_bytes, "uuid": h.h_uuid,
        "created_ns": h.h_created_ns, "owner_uid": h.h_owner_uid, "creator_pid": h.h_creator_pid,
        "max_cpus": h.h_max_cpus, "max_zones": h.h_max_zones, "max_queues": h.h_max_queues, "flags": h.h_flags}


def offered():
    """The core's numbers that Python code uses by name."""
    return {
        "M_NOWAIT": SM_M_NOWAIT, "M_WAITOK": SM_M_WAITOK, "M_ZERO": SM_M_ZERO, "M_NOVM": SM_M_NOVM,
        "M_USE_RESERVE": SM_M_USE_RESERVE, "RECLAIM_TRIM": <int>SM_RECLAIM_TRIM,
        "RECLAIM_DRAIN": <int>SM_RECLAIM_DRAIN, "RECLAIM_DRAIN_CPU": <int>SM_RECLAIM_DRAIN_CPU,
        "ZONE_REFCNT": SM_ZONE_REFCNT, "ZONE_SECONDARY": SM_ZONE_SECONDARY, "ZONE_NOBUCKET": SM_ZONE_NOBUCKET,
        "ZONE_MAXBUCKET": SM_ZONE_MAXBUCKET, "ZONE_OFFPAGE": SM_ZONE_OFFPAGE, "ZONE_NOFREE": SM_ZONE_NOFREE,
        "ZONE_MALLOC": SM_ZONE_MALLOC, "ZONE_RUNS": SM_ZONE_RUNS, "ZONE_TRASH": SM_ZONE_TRASH,
        "ZONE_REDZONE": SM_ZONE_REDZONE, "ZONE_KEEP": SM_ZONE_KEEP, "ZONE_INTERNAL": SM_ZONE_INTERNAL,
        "ZONE_ZINIT": SM_ZONE_ZINIT, "ZONE_TRACE": SM_ZONE_TRACE, "ZONE_USER_FLAGS": SM_ZONE_USER_FLAGS, "ARENA_FENCED": SM_ARENA_FENCED,
        "ARENA_TRACE": SM_ARENA_TRACE, "ARENA_WITNESS": SM_ARENA_WITNESS, "ARENA_FAULTS": SM_ARENA_FAULTS,
        "COMPANION_ENTRY": SM_COMPANION_ENTRY, "ARENA_DUMP": SM_ARENA_DUMP,
        "ZONE_MBUF": SM_ZONE_MBUF, "NAME_BYTES": SM_NAME_BYTES, "CALLBACK_BYTES": SM_CALLBACK_BYTES, "LAYOUT_VERSION": SM_LAYOUT_VERSION}


def mbuf_constants():
    """The numbers of mbuf(9) by their names."""
    return {
        "MSIZE": MSIZE, "MLEN": MLEN, "MHLEN": MHLEN, "MINCLSIZE": MINCLSIZE, "MCLBYTES": MCLBYTES,
        "MJUMPAGESIZE": MJUMPAGESIZE, "MJUM9BYTES": MJUM9BYTES, "MJUM16BYTES": MJUM16BYTES, "MTAG_MAX": MTAG_MAX,
        "M_COPYALL": M_COPYALL, "M_EXT": M_EXT, "M_PKTHDR": M_PKTHDR, "M_EOR": M_EOR, "M_RDONLY": M_RDONLY,
        "M_PROTO1": M_PROTO1, "M_PROTO2": M_PROTO2, "M_PROTO3": M_PROTO3, "M_PROTO4": M_PROTO4, "M_PROTO5": M_PROTO5,
        "M_BCAST": M_BCAST, "M_MCAST": M_MCAST, "M_FRAG": M_FRAG, "M_FIRSTFRAG": M_FIRSTFRAG,
        "M_LASTFRAG": M_LASTFRAG, "M_SKIP_FIREWALL": M_SKIP_FIREWALL, "M_VLANTAG": M_VLANTAG, "MT_DATA": MT_DATA,
        "MT_HEADER": MT_HEADER, "MT_SONAME": MT_SONAME, "MT_CONTROL": MT_CONTROL, "MT_OOBDATA": MT_OOBDATA,
        "EXT_CLUSTER": EXT_CLUSTER, "EXT_SFBUF": EXT_SFBUF, "EXT_JUMBOP": EXT_JUMBOP, "EXT_JUMBO9": EXT_JUMBO9,
        "EXT_JUMBO16": EXT_JUMBO16, "EXT_PACKET": EXT_PACKET, "EXT_NET_DRV": EXT_NET_DRV,
        "EXT_MOD_TYPE": EXT_MOD_TYPE, "EXT_DISPOSABLE": EXT_DISPOSABLE, "EXT_EXTREF": EXT_EXTREF,
        "MTAG_ABI_COMPAT": MTAG_ABI_COMPAT, "MTAG_PERSISTENT": MTAG_PERSISTENT,
        "PACKET_TAG_MACLABEL": PACKET_TAG_MACLABEL}
