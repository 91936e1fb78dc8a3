"""From a code of the core and the facts around it to one exception.

Owns the choice of class, once for the whole package: the extension module calls ``failure`` for every code that is not
SM_OK. Must not touch an arena. Facts that a call does not have are missing from the dict.
"""

from collections.abc import Callable, Mapping
from typing import Any

from shmalloc import errors as e

__all__ = ["failure"]

Facts = Mapping[str, Any]

_FLAG_FIELDS = {
    0x1: "refcnt",
    0x4: "nobucket",
    0x8: "maxbucket",
    0x10: "offpage",
    0x20: "nofree",
    0x100: "trash",
    0x200: "redzone",
    0x400: "keep",
    0x1000: "zero_init",
    0x2000: "trace",
}
_CALLBACK_FIELDS = ("ctor", "dtor", "init", "fini")


def _not_found(facts: Facts) -> e.ShmallocError:
    subject, name = facts.get("subject"), facts.get("name", "")
    if subject == "zone":
        return e.ZoneNotFound(zone=name)
    if subject == "queue":
        return e.QueueNotFound(queue=name)
    if subject in ("handle", "item"):
        return e.ForeignItem(handle=facts.get("handle"))
    return e.ArenaNotFound()


def _mismatch(facts: Facts) -> e.ShmallocError:
    """Names the first parameter in which an existing zone or queue differs from the one asked for."""
    name = facts.get("name", "")
    if "field" in facts:
        return e.ZoneMismatch(zone=name, field=facts["field"], have=facts.get("have"), want=facts.get("want"))
    if facts.get("subject") == "handle":
        return e.ForeignItem(handle=facts.get("handle"))
    pairs = [("size", facts.get("have_size"), facts.get("want_size"))]
    if facts.get("want_align"):
        pairs.append(("align", facts.get("have_align"), facts["want_align"]))
    have_flags, want_flags = facts.get("have_flags", 0), facts.get("want_flags", 0)
    pairs += [(field, bool(have_flags & bit), bool(want_flags & bit)) for bit, field in _FLAG_FIELDS.items()]
    have_calls, want_calls = facts.get("have_callbacks", ()), facts.get("want_callbacks", ())
    pairs += [
        (f, have or None, want or None) for f, have, want in zip(_CALLBACK_FIELDS, have_calls, want_calls, strict=False)
    ]
    pairs.append(("master", facts.get("have_master"), facts.get("want_master")))
    for field, have, want in pairs:
        if have != want and not (field in ("size", "master") and want is None):
            return e.ZoneMismatch(zone=name, field=field, have=have, want=want)
    return e.ZoneMismatch(zone=name, field=facts.get("subject", "parameters"), have=None, want=None)


def _busy(facts: Facts) -> e.ShmallocError:
    if facts.get("subject") == "queue":
        return e.QueueBusy(queue=facts.get("name", ""), depth=facts.get("depth", 0))
    return e.ZoneBusy(zone=facts.get("name", ""), live=facts.get("live", 0), handles=facts.get("handles", ()))


def _gone(facts: Facts) -> e.ShmallocError:
    if facts.get("subject") == "item":
        how = "it was handed over" if facts.get("handed") else "it was freed"
        return e.ItemFreed(zone=facts.get("name", ""), detail=how)
    return e.ZoneGone(zone=facts.get("name", ""))


def _limit(facts: Facts) -> e.ShmallocError:
    return e.ZoneExhausted(
        zone=facts.get("name", ""),
        limit=facts.get("limit", 0),
        in_use=facts.get("in_use", 0),
        waited=facts.get("waited"),
        asked=facts.get("asked", 1),
    )


def _no_memory(facts: Facts) -> e.ShmallocError:
    return e.OutOfMemory(
        free_bytes=facts.get("free_bytes", 0),
        asked_bytes=facts.get("asked_bytes", 0),
        max_bytes=facts.get("max_bytes", 0),
    )


def _refused(facts: Facts, slot: str) -> str:
    """Why a ctor or init failed, where it is not an exception (that one is the cause)."""
    nonsense = facts.get("nonsense")
    if nonsense is None:
        return ""
    return f"the {slot} returned {nonsense}; it may return None or 0 for success, an errno 1 .. 4095, or raise"


def _ctor(facts: Facts) -> e.ShmallocError:
    return e.CtorFailed(zone=facts.get("name", ""), errno=facts.get("errno", 0), detail=_refused(facts, "ctor"))


def _init(facts: Facts) -> e.ShmallocError:
    return e.InitFailed(zone=facts.get("name", ""), errno=facts.get("errno", 0), detail=_refused(facts, "init"))


def _invalid(facts: Facts) -> e.ShmallocError:
    return e.InvalidArgument(
        argument=facts.get("argument", ""),
        value=facts.get("value"),
        allowed=facts.get("allowed", ""),
        detail="" if facts.get("argument") else f"in a call about {facts.get('subject', 'the arena')}",
    )


def _item(cls: type[e.ItemError]) -> Callable[[Facts], e.ShmallocError]:
    def make(facts: Facts) -> e.ShmallocError:
        return cls(zone=facts.get("name", ""), handle=facts.get("handle"))

    return make


def _not_owner(facts: Facts) -> e.ShmallocError:
    cpu = facts.get("cpu")
    detail = "" if cpu is None else f"CPU {cpu}"
    return e.NotOwner(zone=facts.get("name", ""), handle=facts.get("handle"), detail=detail)


def _in_callback(facts: Facts) -> e.ShmallocError:
    detail = "the arena cannot be closed there" if facts.get("subject") == "arena" else ""
    return e.InCallback(zone=facts.get("name", ""), detail=detail)


def _permission(facts: Facts) -> e.ShmallocError:
    return e.ReadOnly(detail="the operating system refused to open the arena's object: check its owner and mode")


def _exists(facts: Facts) -> e.ShmallocError:
    return e.ArenaExists()


def _full(facts: Facts) -> e.ShmallocError:
    return e.QueueFull(queue=facts.get("name", ""), depth=facts.get("depth", 0), waited=facts.get("waited"))


def _empty(facts: Facts) -> e.ShmallocError:
    return e.QueueEmpty(queue=facts.get("name", ""), depth=facts.get("depth", 0), waited=facts.get("waited"))


def _lock(cls: type[e.LockError]) -> Callable[[Facts], e.ShmallocError]:
    def make(facts: Facts) -> e.ShmallocError:
        return cls(lock=facts.get("name", ""), kind=facts.get("kind", ""))

    return make


def _owner_died(facts: Facts) -> e.ShmallocError:
    return e.OwnerDied(
        lock=facts.get("name", ""),
        kind=facts.get("kind", ""),
        cpu=facts.get("cpu"),
        pid=facts.get("pid"),
        held=facts.get("held", True),
    )


def _lock_timeout(facts: Facts) -> e.ShmallocError:
    return e.LockTimeout(lock=facts.get("name", ""), kind=facts.get("kind", ""), waited=facts.get("waited"))


def _lock_mismatch(facts: Facts) -> e.ShmallocError:
    """Names the first parameter in which an existing lock differs from the one asked for."""
    name, kind, have = facts.get("name", ""), facts.get("kind", ""), facts.get("have")
    if have is None:
        return e.LockMismatch(lock=name, kind=kind, field="parameters")
    pairs = (
        ("kind", have.kind, kind),
        ("recursive", have.recursive, facts.get("recursive")),
        ("value", have.permits, facts.get("value")),
        ("mutex", have.mutex, facts.get("mutex")),
    )
    # What this kind does not have, or what the caller left open, cannot differ.
    asked = (pair for pair in pairs if pair[2] is not None)
    field, had, want = next((pair for pair in asked if pair[1] != pair[2]), ("parameters", None, None))
    return e.LockMismatch(lock=name, kind=kind, field=field, have=had, want=want)


_LOCK_MAKERS: dict[str, Callable[[Facts], e.ShmallocError]] = {
    "SM_OWNER_DIED": _owner_died,
    "SM_TIMEOUT": _lock_timeout,
    "SM_DEADLOCK": _lock(e.LockDeadlock),
    "SM_NOT_OWNER": _lock(e.LockNotHeld),
    "SM_BUSY": _lock(e.LockBusy),
    "SM_GONE": _lock(e.LockGone),
    "SM_NOT_FOUND": _lock(e.LockNotFound),
    "SM_MISMATCH": _lock_mismatch,
}


def _no_buffers(facts: Facts) -> e.ShmallocError:
    return e.NoBuffers(
        zone=facts.get("name", ""),
        limit=facts.get("limit", 0),
        in_use=facts.get("in_use", 0),
        tunable=facts.get("tunable", ""),
        call=facts.get("call") or "",
        packet_freed=facts.get("packet_freed", False),
    )


def _bad_chain(facts: Facts) -> e.ShmallocError:
    return e.BadChain(call=facts.get("call") or "", packet_freed=facts.get("packet_freed", False))


def _mbuf_gone(facts: Facts) -> e.ShmallocError:
    if facts.get("reshaped"):
        how = "the packet was reshaped since; iterate over it again"
    else:
        how = "it was handed over" if facts.get("handed") else "it was freed"
    return e.ItemFreed(zone=facts.get("name", ""), detail=how)


def _mbuf_invalid(facts: Facts) -> e.ShmallocError:
    if facts.get("argument"):
        return _invalid(facts)
    text = f"{facts.get('call') or 'the call'} cannot be done with this packet and these lengths"
    return e.InvalidArgument(detail=f"{text}; the packet was freed" if facts.get("packet_freed") else text)


_MBUF_MAKERS: dict[str, Callable[[Facts], e.ShmallocError]] = {
    "SM_LIMIT": _no_buffers,
    "SM_TIMEOUT": _no_buffers,
    "SM_CORRUPT": _bad_chain,
    "SM_GONE": _mbuf_gone,
    "SM_INVALID": _mbuf_invalid,
}

_POLICY_DETAILS = {
    "SM_EXISTS": "a policy of this name is there already; unregister it first, or choose another name",
    "SM_BUSY": "labels that it would have to hear of are alive; free their packets first: shmalloc who ARENA",
    "SM_NOT_FOUND": "there is no policy of this name; mac.policies() lists those that are there",
}


def _policy(code: str) -> Callable[[Facts], e.ShmallocError]:
    def make(facts: Facts) -> e.ShmallocError:
        detail = _POLICY_DETAILS[code].replace("ARENA", facts.get("arena", ""))
        return e.PolicyError(policy=facts.get("name", ""), detail=detail)

    return make


def _sockbuf(cls: type[e.SockbufError], **more: str) -> Callable[[Facts], e.ShmallocError]:
    def make(facts: Facts) -> e.ShmallocError:
        return cls(
            sockbuf=facts.get("name", ""),
            used=facts.get("used", 0),
            hiwat=facts.get("hiwat", 0),
            asked=facts.get("asked_bytes", 0),
            waited=facts.get("waited"),
            **{key: facts.get(fact, "") for key, fact in more.items()},
        )

    return make


def _sockbuf_invalid(facts: Facts) -> e.ShmallocError:
    call, name = facts.get("call", ""), facts.get("name", "")
    used, hiwat = facts.get("used", 0), facts.get("hiwat", 0)
    allowed = f"{call} of sockbuf {name!r} allows at most what is in it ({used} bytes), or what it may hold ({hiwat})"
    return e.InvalidArgument(argument="size", value=facts.get("asked_bytes", 0), allowed=allowed)


def _sockbuf_says(detail: str) -> Callable[[Facts], e.ShmallocError]:
    return lambda f: e.SockbufError(sockbuf=f.get("name", ""), detail=detail)


_SOCKBUF_MAKERS: dict[str, Callable[[Facts], e.ShmallocError]] = {
    "SM_FULL": _sockbuf(e.SockbufFull),
    "SM_EMPTY": _sockbuf(e.SockbufEmpty),
    "SM_BUSY": _sockbuf(e.SockbufBusy),
    "SM_CORRUPT": _sockbuf(e.SockbufCorrupt, call="call"),
    "SM_INVALID": _sockbuf_invalid,
    "SM_GONE": _sockbuf_says("it was destroyed by somebody; open it again"),
    "SM_NOT_FOUND": _sockbuf_says("it does not exist, and a read-only attachment cannot make it"),
}


# What a code means where the subject is another than a zone or an item.
_BY_SUBJECT: dict[str, dict[str, Callable[[Facts], e.ShmallocError]]] = {
    "lock": _LOCK_MAKERS,
    "mbuf": _MBUF_MAKERS,
    "sockbuf": _SOCKBUF_MAKERS,
    "mbufs": {"SM_NOT_FOUND": lambda f: e.NoMbufs(zone="mbuf")},
    "policy": {code: _policy(code) for code in _POLICY_DETAILS},
}

_MAKERS: dict[str, Callable[[Facts], e.ShmallocError]] = {
    "SM_INVALID": _invalid,
    "SM_NO_MEMORY": _no_memory,
    "SM_LIMIT": _limit,
    "SM_TIMEOUT": _limit,
    "SM_NOT_FOUND": _not_found,
    "SM_EXISTS": _exists,
    "SM_MISMATCH": _mismatch,
    "SM_NAME_TOO_LONG": lambda f: e.NameTooLong(
        argument=f.get("argument", "name"), value=f.get("value", f.get("name")), most=f.get("most", 31)
    ),
    "SM_TABLE_FULL": lambda f: e.TableFull(table=f.get("subject", ""), most=f.get("most", 0)),
    "SM_NO_CPU": lambda f: e.CpuSlotsExhausted(max_cpus=f.get("max_cpus", 0)),
    "SM_NOT_OURS": _item(e.ForeignItem),
    "SM_MISALIGNED": _item(e.MisalignedItem),
    "SM_DOUBLE_FREE": _item(e.DoubleFree),
    "SM_STALE": _item(e.StaleHandle),
    "SM_NOT_OWNER": _not_owner,
    "SM_IN_CALLBACK": _in_callback,
    "SM_CTOR_FAILED": _ctor,
    "SM_INIT_FAILED": _init,
    "SM_BUSY": _busy,
    "SM_GONE": _gone,
    "SM_CLOSED": lambda f: e.ArenaClosed(),
    "SM_FORKED": _item(e.ForkedItem),
    "SM_STALLED": lambda f: e.Stalled(cpu=f.get("cpu"), pid=f.get("pid") or None),
    "SM_DEAD_PEER": lambda f: e.Stalled(cpu=f.get("cpu"), pid=f.get("pid") or None),
    "SM_NOT_ARENA": lambda f: e.NotAnArena(),
    "SM_TRUNCATED": lambda f: e.ArenaTruncated(),
    "SM_CORRUPT": lambda f: e.ArenaCorrupt(),
    "SM_VERSION": lambda f: e.ArenaVersionMismatch(have=f.get("version", 0), want=f.get("want_version", 0)),
    "SM_HALF_MADE": lambda f: e.ArenaHalfMade(),
    "SM_PERMISSION": _permission,
    "SM_UNSUPPORTED": lambda f: e.Unsupported(),
    "SM_READ_ONLY": lambda f: e.ReadOnly(),
    "SM_FULL": _full,
    "SM_EMPTY": _empty,
    "SM_MODIFIED": _item(e.MemoryModified),
    "SM_UNRESOLVED": lambda f: e.CallbackUnresolvable(zone=f.get("name", "")),
}


def _forced_note(what: str, arena: str) -> str:
    if what == "debug.malloc.failure_rate":
        return f"forced by the tunable {what}; to end that: shmalloc sysctl {arena} {what}=0"
    return f"forced by the fault point {what}, see `faultinj ctl {arena} log`"


def failure(code: str, facts: Facts) -> e.ShmallocError:
    """Make the exception for a code of the core.

    Parameters: code: its name, "SM_LIMIT"; facts: what the call knew (arena, name, limit, waited, ...).
    Returns: the exception, not raised; its ``code``, ``arena`` and ``forced`` are filled in.
    """
    maker = _BY_SUBJECT.get(facts.get("subject", ""), {}).get(code) or _MAKERS.get(code)
    error = maker(facts) if maker is not None else e.ArenaError(detail=f"the core reports {code} ({dict(facts)!r})")
    if facts.get("packet_freed") and not hasattr(error, "packet_freed") and code != "SM_INVALID":
        error.add_note(f"{facts.get('call')} has freed the packet")
    error.forced = facts.get("forced", "")
    if error.forced and not isinstance(error, e.OutOfMemory):  # which says so itself
        error.add_note(_forced_note(error.forced, facts.get("arena", "")))
    error.code = code
    error.arena = facts.get("arena", "")
    return error
