# companion.pxi - the door for companions: an arena's hooks and regions for their C, the entry point that an armed arena
# names, and their life with the attachment. Owns the capsule. Must not know any companion.

cdef struct hook_door: # what the capsule points at; the companions' C declares the same
    sm_arena *arena
    void (*set_hooks)(sm_arena *a, const sm_hooks *hooks) noexcept
    void (*clear_hooks)(sm_arena *a, uint32_t mask) noexcept
    sm_err (*region)(sm_arena *a, const char *name, uint64_t nbytes, uint32_t version, void **mem) noexcept
    sm_err (*announce)(sm_arena *a, uint32_t flags, bint armed) noexcept
    sm_err (*find)(const sm_arena *a, const char *name, uint64_t *off, uint64_t *nbytes, uint32_t *version) noexcept
    char *base
    uint32_t (*cpu)(const void *a) noexcept


cdef uint32_t door_cpu(const void *a) noexcept:
    return (<const sm_arena *>a).a_cpu_id


cdef void door_close(object capsule) noexcept:
    cdef hook_door *door = <hook_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
    cdef void *at = PyCapsule_GetContext(capsule)
    free(door)
    Py_DECREF(<object>at)


def hooks_capsule(Attachment at not None):
    """A PyCapsule named "shmalloc._native.hooks" for a companion's C code.

    It points at struct { struct sm_arena *arena; void (*set_hooks)(struct sm_arena *, const struct sm_hooks *);
    void (*clear_hooks)(struct sm_arena *, uint32_t mask);
    enum sm_err (*region)(struct sm_arena *, const char *name, uint64_t bytes, uint32_t version, void **mem);
    enum sm_err (*announce)(struct sm_arena *, uint32_t flags, bool armed);
    enum sm_err (*find)(const struct sm_arena *, const char *name, uint64_t *off, uint64_t *bytes, uint32_t *version);
    char *base; uint32_t (*cpu)(const void *arena); }: the companion calls
    door->set_hooks(door->arena, &its_table), and clear_hooks with its mask to disarm; region is sm_arena_region, announce sm_arena_announce; cpu gives the attachment's CPU slot as it is
    now, from any thread, without a lock.
    The capsule keeps the attachment's mapping alive; its context is the Attachment object.
    """
    cdef hook_door *door
    at.need()
    door = <hook_door *>malloc(sizeof(hook_door))
    if door == NULL:
        raise MemoryError
    door.arena = at.a
    door.set_hooks = sm_arena_set_hooks
    door.clear_hooks = sm_arena_clear_hooks
    door.region = sm_arena_region
    door.announce = sm_arena_announce
    door.find = sm_arena_find_region
    door.base = <char *>at.a.a_base
    door.cpu = door_cpu
    capsule = PyCapsule_New(door, SM_HOOKS_CAPSULE, door_close)
    Py_INCREF(at)
    PyCapsule_SetContext(capsule, <void *>at)
    return capsule


cdef object NEWCOMERS = None # a capsule of a struct sm_hooks
cdef object NEWCOMER_MADE = None # what is called with each attachment that was armed with it


def hooks_for_new(capsule, made=None):
    """Arm every attachment that this process makes from now on, before it is made: a PyCapsule named
    "shmalloc._native.hooks" of a struct sm_hooks; None: no more. The attachment keeps the capsule, which keeps the ctx.
    made: called with each such Attachment as soon as it is there, for a companion that arms it again with what only an
    attachment has, its CPU; what it raises ends the attachment."""
    global NEWCOMERS, NEWCOMER_MADE
    if capsule is not None:
        PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
    NEWCOMERS = capsule
    NEWCOMER_MADE = made


def companion_keep(Attachment at not None, str name not None, companion):
    """Keep a companion's object for as long as the attachment is in use; its detached() is called when that ends, before
    the mapping goes. It must not refer to the attachment. None: forget it."""
    at.need()
    if companion is None:
        if at.companions is not None:
            at.companions.pop(name, None)
        return
    if at.companions is None:
        at.companions = {}
    at.companions[name] = companion


def companion_kept(Attachment at not None, str name not None):
    """The object kept under this name, or None."""
    return None if at.companions is None else at.companions.get(name)


def companion_flags(Attachment at not None):
    """The ARENA_WITNESS and ARENA_FAULTS bits of the header as they are now."""
    at.need()
    return at.a.a_header.h_flags & SM_ARENA_COMPANIONS


def region_bytes(Attachment at not None, str name not None, Py_ssize_t most=-1):
    """A copy of a region's first bytes, of all of it by default; None: there is no such region."""
    cdef uint64_t off = 0, nbytes = 0
    cdef uint32_t version = 0
    at.need()
    if sm_arena_find_region(at.a, name.encode(), &off, &nbytes, &version) != SM_OK:
        return None
    if most >= 0 and <uint64_t>most < nbytes:
        nbytes = <uint64_t>most
    return PyBytes_FromStringAndSize(<char *>at.a.a_base + off, <Py_ssize_t>nbytes)
