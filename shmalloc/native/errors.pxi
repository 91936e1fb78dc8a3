# errors.pxi - from a code of the core to an exception, and from Python arguments to the core's. Owns the table of
# Python functions that `bind` filled; chooses no class and writes no text itself.

cdef dict FACE = {}


def bind(**face):
    """Hand over the Python face: failure(code, facts), resolve(zone, slot, name), adopt, zone, arena, queue, records."""
    FACE.update(face)


cdef object failure(sm_err err, dict facts):
    """The exception for a code, not raised."""
    return FACE["failure"]((<bytes>sm_err_name(err)).decode(), facts)


cdef int refuse(str argument, object value, str allowed) except -1:
    """Raises InvalidArgument."""
    raise failure(SM_INVALID, {"argument": argument, "value": value, "allowed": allowed})


cdef str forced_by(uint32_t what):
    """The tunable or fault point that made a call fail."""
    if what == SM_FORCED_RATE:
        return "debug.malloc.failure_rate"
    return fault_points()[what - 1][0] if what <= SM_FP_COUNT else f"fault point {what - 1}"


cdef int fail(Attachment at, sm_err err, dict facts) except -1:
    """Raises what `err` stands for. What a callback or a signal handler raised meanwhile is the cause, or, when it asks
    the program to stop, is raised itself."""
    cause = at.pending
    at.pending = None
    at.settle()
    if at.closed_ and cause is None and err == SM_INTERRUPTED:
        err = SM_CLOSED
    if cause is not None and (err == SM_INTERRUPTED or not isinstance(cause, Exception)):
        raise cause
    if err == SM_UNRESOLVED and cause is not None:
        raise cause
    facts["arena"] = at.name
    if at.a != NULL and at.a.a_forced[<unsigned int>err] != 0:
        facts["forced"] = forced_by(at.a.a_forced[<unsigned int>err])
        at.a.a_forced[<unsigned int>err] = 0
    if err == SM_CTOR_FAILED or err == SM_INIT_FAILED:
        facts["errno"] = at.a.a_callback_errno if at.a != NULL else 0
        facts["nonsense"] = at.nonsense
    elif err == SM_NO_MEMORY:
        if at.a != NULL:
            facts["free_bytes"] = at.a.a_space_bytes
            facts["max_bytes"] = at.a.a_header.h_max_bytes
    elif err == SM_STALLED or err == SM_NOT_OWNER or err == SM_DEAD_PEER:
        if at.a != NULL and at.a.a_blocker < at.a.a_header.h_max_cpus:
            facts["cpu"] = at.a.a_blocker
            facts["pid"] = at.a.a_cpus[at.a.a_blocker].cpu_pid
    elif err == SM_NO_CPU and at.a != NULL:
        facts["max_cpus"] = at.a.a_header.h_max_cpus
    at.nonsense = None
    if cause is None:
        raise failure(err, facts)
    raise failure(err, facts) from cause


cdef inline int forget(Attachment at) except -1:
    """After a call that succeeded: although a callback failed on the way (a bucket fill cut short), or too late."""
    if at.pending is not None:
        at.pending = None
    if unlikely(at.closed_): # by another thread while this one slept: what it got goes with the rest
        fail(at, SM_CLOSED, {})
    return 0


cdef int64_t timeout_ns(object timeout) except -2:
    """Nanoseconds, -1 for ever."""
    cdef double seconds
    if timeout is None:
        return -1
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout is seconds or None, not {type(timeout).__name__}")
    try:
        seconds = timeout
    except OverflowError:
        seconds = 1e300 if timeout > 0 else -1.0
    if isnan(seconds) or seconds < 0:
        refuse("timeout", timeout, "seconds, 0 or more; None waits for ever")
    if seconds >= 4e9:
        return -1
    return <int64_t>(seconds * 1e9)


cdef object seconds_of(int64_t ns):
    return None if ns < 0 else ns / 1e9


cdef uint64_t count_of(str argument, object value, uint64_t least) except? 0xffffffffffffffff:
    """An int in least .. 2^48."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} is an int, not {type(value).__name__}")
    if value < least or value > (1 << 48):
        refuse(argument, value, f"{least} .. 2**48")
    return <uint64_t>value


cdef bytes name_of(str argument, object value, Py_ssize_t most):
    """A name as the core's bytes: 1 .. most bytes of UTF-8, no NUL."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} is a str, not {type(value).__name__}")
    try:
        raw = (<str>value).encode()
    except UnicodeEncodeError:
        refuse(argument, value, "text that UTF-8 can encode")
    if not raw or b"\0" in raw:
        refuse(argument, value, f"1 .. {most} bytes of UTF-8 without NUL")
    if len(raw) > most:
        raise failure(SM_NAME_TOO_LONG, {"argument": argument, "value": value, "most": most})
    return raw


cdef str text_of(const char *raw, Py_ssize_t room):
    """A fixed char array of shared memory, which need not end in NUL if it is damaged."""
    cdef Py_ssize_t n = 0
    while n < room and raw[n] != 0:
        n += 1
    return raw[:n].decode("utf-8", "replace")


cdef object handle_int(sm_handle h):
    return (<object>h.h_zone << 96) | (<object>h.h_gen << 64) | <object>h.h_item


cdef int handle_of(object value, sm_handle *h) except -1:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a handle is an int, not {type(value).__name__}")
    if value <= 0 or value >> 108:
        refuse("handle", value, "a number that item.handle or item.ticket() gave")
    h.h_item = value & 0xffffffffffffffff
    h.h_gen = (value >> 64) & 0xffffffff
    h.h_zone = value >> 96
    return 0
