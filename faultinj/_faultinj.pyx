# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: binding=False, embedsignature=True, auto_pickle=False, warn.unused=False
"""The fault injector's C as Python objects: a Block of points, programs, sweep and log.

Owns the process's view of a block. Must hold no policy and no text for people. A Block never refers to the arena whose
points it fails: the arena keeps it (companion_keep), not the other way round.
"""

from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetPointer, PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from shmalloc import _native

from faultinj._core cimport *

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char *raw, size_t room)

cdef extern from "<unistd.h>" nogil:
    int ftruncate(int fd, int64_t length)
    int64_t lseek(int fd, int64_t offset, int whence)
    enum:
        SEEK_END

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *PyThreadState_Get()
    PyObject *PyThreadState_GetFrame(PyThreadState *state)
    PyObject *PyFrame_GetBack(PyObject *frame)
    PyObject *PyFrame_GetCode(PyObject *frame)
    PyObject *PyErr_Occurred()
    int PyGILState_Check() nogil
    int PyGC_Disable()
    int PyGC_Enable()
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *length) except NULL
    int PyErr_CheckSignals()

cdef enum:
    FAULTS_FLAG = 4 # SM_ARENA_FAULTS of shmalloc/core/layout.h
    PAGE = 65536 # a multiple of every page size

OFF, COUNT, TRANSIENT, PERSISTENT = <int>FI_OFF, <int>FI_COUNT, <int>FI_TRANSIENT, <int>FI_PERSISTENT
KILL, PAIR, KILL_PAIR, DIE = <int>FI_KILL, <int>FI_PAIR, <int>FI_KILL_PAIR, <int>FI_DIE
ACTIONS = tuple([(<bytes>fi_action_name(i)).decode() for i in range(FI_ACTION_COUNT)])
CORE_POINTS = <int>FI_CORE_POINTS
PROGRAM_BYTES = <int>sizeof(fi_program) # of a compiled program: as many take one of the block's places
CORE_ERRNOS = tuple([fi_core_errno(i) for i in range(64) if fi_core_errno(i) != 0])
TERMS, TEXT_BYTES, SUBJECT_BYTES, WORDS_BYTES = <int>FI_TERMS, <int>FI_TEXT_BYTES, <int>FI_SUBJECT_BYTES, <int>FI_WORDS_BYTES

ERRORS = {
    <int>SM_INVALID: "SM_INVALID", <int>SM_NO_MEMORY: "SM_NO_MEMORY", <int>SM_NOT_FOUND: "SM_NOT_FOUND",
    <int>SM_TABLE_FULL: "SM_TABLE_FULL", <int>SM_NAME_TOO_LONG: "SM_NAME_TOO_LONG", <int>SM_STALLED: "SM_STALLED",
    <int>SM_NOT_ARENA: "SM_NOT_ARENA", <int>SM_TRUNCATED: "SM_TRUNCATED", <int>SM_CORRUPT: "SM_CORRUPT",
    <int>SM_VERSION: "SM_VERSION", <int>SM_READ_ONLY: "SM_READ_ONLY", <int>SM_GONE: "SM_GONE",
}


class CoreError(Exception):
    """A call of the injector's C failed: .code is its name ("SM_TABLE_FULL")."""

    def __init__(self, code, text=""):
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code


cdef int refuse(sm_err err, str text="") except -1:
    if err != SM_OK:
        raise CoreError(ERRORS.get(<int>err, f"#{<int>err}"), text)
    return 0


cdef bint stop_waiting() noexcept nogil:
    """Asked while a point that Python declares waits: whether the handler of a signal raised, Ctrl-C as a rule."""
    with gil:
        return PyErr_CheckSignals() != 0


cdef inline object ask(fi_request *q, subject, uint64_t size):
    """Fills the request of a declared point. Returns: what keeps the subject's bytes. A file's name that is no UTF-8 is
    given as the bytes that it has."""
    cdef Py_ssize_t length = 0
    memset(q, 0, sizeof(fi_request))
    q.q_bytes = size
    q.q_stop = stop_waiting
    if subject is None:
        return None
    try:
        q.q_subject = PyUnicode_AsUTF8AndSize(subject, &length)
    except UnicodeEncodeError:
        subject = in_bytes(subject)
        q.q_subject = <const char *>(<bytes>subject)
        length = len(<bytes>subject)
    q.q_subject_bytes = <size_t>length
    return subject


cdef bytes in_bytes(str text):
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


cdef int no_signal() except -1:
    """Goes on with the exception that stop_waiting left."""
    return 0 if PyErr_Occurred() == NULL else -1


cdef str text_of(const char *raw, size_t room):
    return raw[:strnlen(raw, room)].decode("utf-8", "replace")


cdef bint frame_matches(PyObject *frame, const char *pattern) noexcept:
    """Whether FILE:FUNCTION of this frame matches, FILE with or without the folders before it."""
    code = <object>PyFrame_GetCode(frame)
    Py_DECREF(code) # PyFrame_GetCode gave a reference; `code` has its own
    cdef bytes place = f"{code.co_filename}:{code.co_qualname}".encode("utf-8", "replace")
    cdef bytes short = place[place.rfind(b"/") + 1:]
    return fi_glob(pattern, FI_WORDS_BYTES, place, len(place)) or fi_glob(pattern, FI_WORDS_BYTES, short, len(short))


cdef bint on_stack(void *ctx, const char *pattern) noexcept:
    """Whether a frame of this thread's Python stack matches. The core's locks may be held: the collector, which runs other
    people's code, is kept still meanwhile."""
    if not PyGILState_Check() or PyErr_Occurred() != NULL:
        return False # a thread of C, or in the middle of an exception
    cdef int was = PyGC_Disable()
    cdef PyObject *frame = PyThreadState_GetFrame(PyThreadState_Get())
    cdef PyObject *back
    cdef bint found = False
    while frame != NULL and not found:
        found = frame_matches(frame, pattern)
        back = PyFrame_GetBack(frame)
        Py_DECREF(<object>frame)
        frame = back
    if frame != NULL:
        Py_DECREF(<object>frame)
    if was:
        PyGC_Enable()
    return found


cdef void hooks_close(object capsule) noexcept:
    cdef void *owner = PyCapsule_GetContext(capsule)
    free(PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE))
    Py_DECREF(<object>owner)


cdef class Armed:
    """What an arena keeps while this process has its points armed: the Block, and how to tell this CPU."""
    cdef fi_hooking k
    cdef readonly Block block

    def detached(self):
        """The arena's mapping is about to go: a Block inside it ends here."""
        self.block.leave()


cdef class Block:
    """One process's view of a block: points, the program of each, the sweep, the log. Every process that has the block
    shares them; a call of one is seen by all.

    A point is a number: an index into names(). After the arena of a Block was closed, every call raises CoreError
    ("SM_GONE").
    """
    cdef fi_block b
    cdef fi_hooking k # for hooks(): attachments of which no CPU is known
    cdef void *mem # mapped by this object; NULL: an arena's
    cdef uint64_t nbytes
    cdef dict numbers # of names that were looked up
    cdef bint gone

    def __cinit__(self):
        self.gone = True
        self.numbers = {}

    def __dealloc__(self):
        if self.mem != NULL:
            munmap(self.mem, self.nbytes)

    @staticmethod
    def anonymous():
        """A new block in memory that children made by fork share."""
        cdef Block self = Block.__new__(Block)
        self.map(-1, fi_block_bytes(NULL))
        refuse(fi_block_format(self.mem, self.nbytes, NULL, b""))
        self.begin(self.mem, self.nbytes)
        return self

    @staticmethod
    def of_fd(int fd, bint create):
        """The block in a shared object (shm_open, memfd_create), made there if `create` and it is empty. The descriptor
        may be closed afterwards. Raises: CoreError: no block; OSError."""
        cdef Block self = Block.__new__(Block)
        cdef int64_t size = lseek(fd, 0, SEEK_END)
        if size == 0 and create:
            size = <int64_t>fi_block_bytes(NULL)
            if ftruncate(fd, size) != 0:
                raise OSError(errno, "a fault block cannot be made: ftruncate failed")
        if size < 0:
            raise OSError(errno, "not an object that can hold a fault block")
        if size == 0:
            refuse(SM_NOT_ARENA)
        self.map(fd, <uint64_t>size)
        if create:
            refuse(fi_block_format(self.mem, self.nbytes, NULL, b""))
        self.begin(self.mem, self.nbytes)
        return self

    @staticmethod
    def of_arena(capsule, bytes entry not None, bint create):
        """The block in an arena's region "faultinj", made there if `create`: then the arena's header says, for whoever
        attaches, that faults are armed, and names `entry`. Does not arm this process: see arm()."""
        cdef fi_door *door = <fi_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
        cdef Block self = Block.__new__(Block)
        cdef void *mem = NULL
        cdef uint64_t off = 0, nbytes = 0
        cdef uint32_t version = 0
        cdef sm_err err = door.find(door.arena, "faultinj", &off, &nbytes, &version)
        if create and err == SM_NOT_FOUND:
            refuse(door.region(door.arena, "faultinj", fi_block_bytes(NULL), FI_VERSION, &mem))
            err = door.find(door.arena, "faultinj", &off, &nbytes, &version)
        refuse(err)
        if version != FI_VERSION:
            refuse(SM_VERSION)
        if create:
            refuse(fi_block_format(door.base + off, nbytes, NULL, entry))
        self.begin(door.base + off, nbytes)
        if create: # the block before the flag: who attaches finds it
            refuse(door.announce(door.arena, FAULTS_FLAG, True))
        return self

    @staticmethod
    def of_region(capsule, int fd):
        """The block in an arena's region "faultinj", mapped anew from a writable descriptor of its object: for who only
        looks at the arena (the door may be of a read-only attachment), and is not to reach its points."""
        cdef fi_door *door = <fi_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
        cdef Block self = Block.__new__(Block)
        cdef uint64_t off = 0, nbytes = 0, before
        cdef uint32_t version = 0
        refuse(door.find(door.arena, "faultinj", &off, &nbytes, &version))
        if version != FI_VERSION:
            refuse(SM_VERSION)
        before = off % PAGE
        self.map(fd, before + nbytes, off - before)
        self.begin(<char *>self.mem + before, nbytes)
        return self

    cdef int map(self, int fd, uint64_t nbytes, uint64_t off=0) except -1:
        cdef int how = MAP_SHARED | (MAP_ANONYMOUS if fd < 0 else 0)
        cdef void *mem = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, how, fd, <int64_t>off)
        if mem == MAP_FAILED:
            raise OSError(errno, "a fault block cannot be mapped")
        self.mem = mem
        self.nbytes = nbytes
        return 0

    cdef int begin(self, void *mem, uint64_t nbytes) except -1:
        refuse(fi_block_open(mem, nbytes, &self.b))
        self.b.b_on_stack = on_stack
        self.k.k_block = &self.b
        self.gone = False
        return 0

    cdef fi_block *need(self) except NULL:
        if self.gone:
            refuse(SM_GONE)
        return &self.b

    cdef uint32_t known(self, uint32_t point) except? 0xffffffff:
        if point >= fi_point_count(self.need()):
            raise IndexError(f"point {point}: there are {fi_point_count(&self.b)}")
        return point

    cdef void leave(self) noexcept:
        if self.mem == NULL:
            self.gone = True

    @property
    def closed(self):
        """Whether the arena that the block was in is gone."""
        return self.gone

    @property
    def in_arena(self):
        """Whether the block is a region of an arena, and ends with this process's attachment to it."""
        return self.mem == NULL

    # ---- arming

    def hooks(self):
        """A capsule of struct sm_hooks for _native.hooks_for_new; it keeps the Block. Not of an arena's own block: that
        is not there before the arena is."""
        cdef sm_hooks *table
        self.need()
        if self.mem == NULL:
            refuse(SM_INVALID)
        table = <sm_hooks *>malloc(sizeof(sm_hooks))
        if table == NULL:
            raise MemoryError
        fi_hooking_table(&self.k, table)
        capsule = PyCapsule_New(table, SM_HOOKS_CAPSULE, hooks_close)
        Py_INCREF(self)
        PyCapsule_SetContext(capsule, <void *>self)
        return capsule

    def arm(self, capsule):
        """Arm the points of one arena's attachment (a door: _native.hooks_capsule); the attachment keeps the Block."""
        cdef fi_door *door = <fi_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
        cdef sm_hooks table
        cdef Armed armed = Armed.__new__(Armed)
        self.need()
        armed.block = self
        armed.k.k_block = &self.b
        armed.k.k_cpu = door.cpu
        armed.k.k_arena = <const void *>door.arena
        _native.companion_keep(<object>PyCapsule_GetContext(capsule), "faultinj", armed)
        fi_hooking_table(&armed.k, &table)
        door.set_hooks(door.arena, &table)

    def arm_later(self):
        """Arm every attachment that this process makes from now on: first without a CPU, for it has none before it is
        made, then as arm() does. Until _native.hooks_for_new(None)."""
        _native.hooks_for_new(self.hooks(), self.made)

    def made(self, attachment):
        """An attachment that arm_later() armed is there."""
        if not attachment.read_only:
            self.arm(_native.hooks_capsule(attachment))

    def disarm(self, capsule, bint everywhere=False):
        """Take the hooks out of this attachment; everywhere: the header does not ask anybody to arm any more."""
        cdef fi_door *door = <fi_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
        door.clear_hooks(door.arena, FI_HOOKS)
        if everywhere:
            refuse(door.announce(door.arena, FAULTS_FLAG, False))
        # Kept under another name: a call that has begun in another thread may still use it.
        armed = _native.companion_kept(<object>PyCapsule_GetContext(capsule), "faultinj")
        if armed is not None:
            _native.companion_keep(<object>PyCapsule_GetContext(capsule), f"faultinj.was.{id(armed)}", armed)
            _native.companion_keep(<object>PyCapsule_GetContext(capsule), "faultinj", None)

    # ---- points

    def point(self, str name not None, bint make=True):
        """The number of the point of this name; a new one is entered. Raises: CoreError: SM_TABLE_FULL,
        SM_NAME_TOO_LONG (63 bytes), and SM_NOT_FOUND if not `make`."""
        cdef uint32_t number = 0
        cdef fi_block *b = self.need()
        found = self.numbers.get(name)
        if found is not None:
            return found
        cdef sm_err err = fi_point_get(b, name.encode(), make, &number)
        if err == SM_TABLE_FULL:
            refuse(err, f"the point {name!r} has no place: the block in use has room for {b.b_max_points} points, those of"
                   " the allocator among them; declare one point for many names, and say which by its subject")
        refuse(err)
        self.numbers[name] = number
        return number

    def names(self):
        """The names of all points; a point's number is its index. The core's come first, then "crash.step"."""
        cdef fi_block *b = self.need()
        return tuple([text_of(b.b_points[i].p_name, FI_NAME_BYTES) for i in range(fi_point_count(b))])

    def reach(self, uint32_t point, str subject=None, uint64_t size=0, int flags=0):
        """A declared point is reached. None: go on, perhaps after what was asked for was done here (a sleep, a print).

        Else (action, code, number, text): action is "return", "raise" or "callback"; code says what `number` is: 0 nothing
        (the point's own error), 1 an SM_ code, 2 an errno, 3 a plain number; text: exception or "module:function".
        """
        cdef fi_request q
        cdef fi_verdict v
        cdef fi_block *b = self.need()
        kept = ask(&q, subject, size)
        q.q_flags = flags
        if not fi_reach(b, point, &q, &v):
            return None
        if fi_waits(&v):
            with nogil:
                fi_act(b, &v)
            no_signal()
        else:
            fi_act(b, &v)
        if v.v_action != FI_A_RETURN and v.v_action != FI_A_RAISE and v.v_action != FI_A_CALLBACK:
            return None
        return (ACTIONS[v.v_action], v.v_code, v.v_number, text_of(v.v_text, FI_WORDS_BYTES))

    def reached(self):
        """How often each point was reached since reset(), by name; those never reached are there with 0."""
        cdef fi_block *b = self.need()
        return {text_of(b.b_points[i].p_name, FI_NAME_BYTES): b.b_points[i].p_reached
                for i in range(fi_point_count(b))}

    def counts(self, uint32_t point):
        """(reached, injected) of one point since reset()."""
        self.known(point)
        return (self.b.b_points[point].p_reached, self.b.b_points[point].p_injected)

    # ---- programs

    def program(self, uint32_t point, bytes encoded):
        """Give the point this compiled program (see encoded()), None: none. May be called while the point is reached; its
        counts begin at zero, and threads paused at the point go on.

        Raises: CoreError: SM_INVALID: not a program; SM_TABLE_FULL: 128 programs are set already.
        """
        cdef fi_block *b = self.need()
        cdef fi_program *programs = NULL
        cdef uint32_t count = 0
        cdef sm_err err
        self.known(point)
        if encoded is not None:
            count = <uint32_t>(len(encoded) // sizeof(fi_program))
            if count == 0 or len(encoded) % sizeof(fi_program) != 0:
                refuse(SM_INVALID)
            programs = <fi_program *>malloc(len(encoded))
            if programs == NULL:
                raise MemoryError
            memcpy(programs, <const char *>encoded, len(encoded))
        err = fi_program_set(b, point, programs, count)
        free(programs)
        if err == SM_TABLE_FULL:
            refuse(err, f"all of the block's {b.b_max_slots} places for programs are taken; clear some first:"
                   " faultinj.clear(), or `faultinj ctl TARGET clear`")
        refuse(err)

    def setting(self, uint32_t point):
        """(text, pid, set_ns, ((seen, fired), ...)) of the point's program, or None: who set it, when (CLOCK_REALTIME), and
        of each term how many reachings its triggers counted and how often it happened."""
        cdef fi_setting s
        cdef sm_err err
        self.known(point)
        err = fi_program_get(&self.b, point, &s)
        if err == SM_NOT_FOUND:
            return None
        refuse(err)
        return (text_of(s.s_program.g_text, FI_TEXT_BYTES), s.s_pid, s.s_set_ns,
                tuple([(s.s_seen[i], s.s_fired[i]) for i in range(s.s_program.g_terms)]))

    @property
    def slots_free(self):
        """Programs that can still be set."""
        return fi_slots_free(self.need())

    @property
    def seed(self):
        """What random numbers follow from; setting it begins them anew at every point."""
        return self.need().b_header.h_seed

    @seed.setter
    def seed(self, uint64_t value):
        fi_block_seed(self.need(), value)

    # ---- sweep

    def sweep(self, int kind, uint64_t n=0, uint64_t n2=0, selected=None):
        """Begin a trial: OFF, COUNT, TRANSIENT, PERSISTENT, KILL, PAIR, KILL_PAIR or DIE (the n-th selected
        point kills who reaches it). Counters start at zero; points that
        are not selected (None: all are) neither count nor fail. n and n2 count from 1.

        Raises: CoreError SM_INVALID: an n that the kind needs is 0.
        """
        cdef uint64_t bits[FI_SELECTED_WORDS]
        cdef uint64_t *chosen = NULL
        cdef uint32_t point
        cdef fi_block *b = self.need()
        if kind < 0 or kind >= <int>FI_SWEEPS:
            refuse(SM_INVALID)
        if selected is not None:
            memset(bits, 0, sizeof(bits))
            for point in selected:
                self.known(point)
                bits[point // 64] |= <uint64_t>1 << (point % 64)
            chosen = bits
        refuse(fi_sweep_set(b, <fi_sweep>kind, n, n2, chosen))

    def sweep_state(self):
        """(reached, injected) of the trial: selected points, or crash points where the kind counts those (KILL,
        KILL_PAIR), and faults or kills that it injected."""
        cdef fi_header *h = self.need().b_header
        kills = h.w_kind == <uint32_t>FI_KILL or h.w_kind == <uint32_t>FI_KILL_PAIR
        return (h.w_crashes if kills else h.w_reached, h.w_injected)

    @property
    def crashes(self):
        """Crash points reached in the trial, of any kind but OFF."""
        return self.need().b_header.w_crashes

    @property
    def reached_after_kill(self):
        """What a KILL_PAIR counted since its first kill: crash points and selected points."""
        return self.need().b_header.w_second

    def reset(self):
        """Counters, log and sweep to zero; random numbers start anew. Programs and their counts stay."""
        fi_block_reset(self.need())

    # ---- log and pauses

    def injections(self):
        """(sequence, point, action, subject, bytes, pid, tid, step) for each entry of the log, oldest first: at most the
        last 1024. sequence: the how-manieth selected point of a sweep, else the how-manieth reaching of its point; subject:
        None if there is none; step: None but at a crash point."""
        return tuple([row[2:10] for row in self.log()])

    def log(self, uint64_t start=0):
        """(number, time_ns, sequence, point, action, subject, bytes, pid, tid, step, code, value) for the entries of the log
        from this number on; as injections(), and code and value as in reach()."""
        cdef fi_block *b = self.need()
        cdef fi_entry *rows = <fi_entry *>calloc(b.b_max_log, sizeof(fi_entry))
        cdef uint32_t n, i
        cdef fi_log_shm *l
        if rows == NULL:
            raise MemoryError
        try:
            n = fi_log_read(b, start, rows, b.b_max_log)
            names = self.names()
            out = []
            for i in range(n):
                l = &rows[i].e_row
                out.append((rows[i].e_number, l.l_time_ns, l.l_sequence,
                            names[l.l_point] if l.l_point < len(names) else f"#{l.l_point}",
                            ACTIONS[l.l_action] if l.l_action < FI_ACTION_COUNT else f"#{l.l_action}",
                            text_of(l.l_subject, FI_SUBJECT_BYTES) or None, l.l_bytes, l.l_pid, l.l_tid,
                            l.l_step if l.l_point == FI_POINT_CRASH else None, l.l_code, l.l_number))
            return tuple(out)
        finally:
            free(rows)

    def paused(self):
        """((pid, tid, point, since_ns), ...) of the threads that a pause holds; since: CLOCK_REALTIME."""
        cdef fi_paused rows[1024]
        cdef uint32_t i, n = fi_paused_list(self.need(), rows, 1024)
        return tuple([(rows[i].z_pid, rows[i].z_tid, rows[i].z_point, rows[i].z_since_ns) for i in range(n)])

    def resume(self, point=None):
        """Let those paused at this point go on; None: at every point."""
        fi_resume(self.need(), FI_NONE if point is None else self.known(point))

    @property
    def lost(self):
        """Programs for which an arm found no slot, and pauses for which there was no place in the list."""
        return self.need().b_header.h_lost


cdef Block CURRENT = None # what this process's declared points report to


def use(Block block):
    """Let this process's declared points report to this block; None: to none."""
    global CURRENT
    CURRENT = block


def in_use():
    """The block given to use(), or None; one whose arena was closed does not count."""
    return None if CURRENT is None or CURRENT.gone else CURRENT


cdef class Probe:
    """A point that a program declares: what the calling of one costs. Owns its number in the block in use; what happens at
    it is for a subclass: happens(action, code, number, text) and wrapped(function)."""
    cdef readonly str name
    cdef Block of
    cdef uint32_t number

    def __init__(self, str name not None):
        self.name = name

    cdef int bind(self) except -1:
        self.number = CURRENT.point(self.name)
        self.of = CURRENT
        return 0

    def bound(self):
        """Enter the point in the block in use, if there is one."""
        if CURRENT is not None and not CURRENT.gone:
            self.bind()

    cdef int hit(self, object subject, uint64_t size) except -1:
        cdef fi_request q
        cdef fi_verdict v
        if self.of is not CURRENT:
            self.bind()
        kept = ask(&q, subject, size)
        if not fi_reach(&self.of.b, self.number, &q, &v):
            return 0
        if fi_waits(&v):
            of = self.of # which another thread may change while this one waits in it
            with nogil:
                fi_act(&of.b, &v)
            no_signal()
        else:
            fi_act(&self.of.b, &v)
        if v.v_action == FI_A_RETURN or v.v_action == FI_A_RAISE or v.v_action == FI_A_CALLBACK:
            self.happens(ACTIONS[v.v_action], v.v_code, v.v_number, text_of(v.v_text, FI_WORDS_BYTES), subject, size)
        return 0

    def __call__(self, subject=None, uint64_t size=0):
        """Reach the point, in the name of `subject` (a str); or make a function one that reaches it first."""
        if subject is not None and type(subject) is not str:
            if callable(subject):
                return self.wrapped(subject)
            if not isinstance(subject, str):
                raise TypeError(f"point {self.name!r}: the subject has to be a str, and is a {type(subject).__name__}")
        if CURRENT is None or CURRENT.gone:
            return None
        self.hit(subject, size)

    def __enter__(self):
        if CURRENT is not None and not CURRENT.gone:
            self.hit(None, 0)
        return self

    def __exit__(self, kind, value, trace):
        return False


include "memory.pxi"


TERM_FIELDS = ("action", "flags", "millionths", "target", "count", "nth", "every", "interval", "space", "number", "code",
               "pid", "cpu", "step", "size", "want", "template", "subject", "text", "stack")


cdef int put_text(char *to, size_t room, bytes text, what) except -1:
    if len(text) >= room:
        shown = text.decode("utf-8", "replace")
        shown = shown if len(shown) <= 400 else shown[:400] + "..."
        raise ValueError(f"{what} {shown!r} has {len(text)} bytes: there is room for {room - 1}")
    memcpy(to, <const char *>text, len(text))
    return 0


def encoded(programs):
    """Compiled programs as Block.program takes them: the point's own, then the templates of its arms.

    programs: (text, terms) each; a term is a dict with keys of TERM_FIELDS, numbers all but the last three, which are bytes.
    Raises: ValueError: a text is too long, or there are too many terms.
    """
    cdef bytearray out = bytearray()
    cdef fi_program *g = <fi_program *>malloc(sizeof(fi_program))
    cdef fi_term *t
    if g == NULL:
        raise MemoryError
    try:
        for text, terms in programs:
            memset(g, 0, sizeof(fi_program))
            put_text(g.g_text, FI_TEXT_BYTES, text, "the program")
            if not 1 <= len(terms) <= FI_TERMS:
                raise ValueError(f"a program of {len(terms)} terms: it can have 1 to {FI_TERMS}")
            g.g_terms = len(terms)
            for i, term in enumerate(terms):
                t = &g.g_term[i]
                t.t_action, t.t_flags = term.get("action", 0), term.get("flags", 0)
                t.t_millionths, t.t_target = term.get("millionths", 0), term.get("target", 0)
                t.t_count, t.t_nth = term.get("count", 0), term.get("nth", 0)
                t.t_every, t.t_interval = term.get("every", 0), term.get("interval", 0)
                t.t_space, t.t_number = term.get("space", 0), term.get("number", 0)
                t.t_code, t.t_pid = term.get("code", 0), term.get("pid", 0)
                t.t_cpu, t.t_step = term.get("cpu", 0), term.get("step", 0)
                t.t_size, t.t_want = term.get("size", 0), term.get("want", 0)
                t.t_template = term.get("template", 0)
                put_text(t.t_subject, FI_SUBJECT_BYTES, term.get("subject", b""), "the name")
                put_text(t.t_text, FI_WORDS_BYTES, term.get("text", b""), "the text")
                put_text(t.t_stack, FI_WORDS_BYTES, term.get("stack", b""), "the stack pattern")
            out += (<char *>g)[:sizeof(fi_program)]
        return bytes(out)
    finally:
        free(g)
