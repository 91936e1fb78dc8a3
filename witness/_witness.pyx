# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: binding=False, embedsignature=True, auto_pickle=False, warn.unused=False
"""The witness's C as Python objects: a Watch over a shared block, and a reader of blocks.

Owns the process's view of a block and the capture of Python stacks. Must hold no policy and no text for people. A Watch
never refers to the arena it watches: the arena keeps it (companion_keep), not the other way round.
"""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.errno cimport EINVAL, errno
from libc.stdlib cimport calloc, free
from libc.string cimport strerror
from posix.fcntl cimport O_CLOEXEC, O_RDWR, open
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.stat cimport fstat, struct_stat
from posix.types cimport off_t
from posix.unistd cimport _SC_PAGESIZE, close, sysconf
cdef extern from "<string.h>" nogil:
    size_t strnlen(const char *raw, size_t room)
    void *memset(void *raw, int value, size_t nbytes)

from witness._core cimport *

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *PyThreadState_Get()
    PyObject *PyThreadState_GetFrame(PyThreadState *state)
    PyObject *PyFrame_GetBack(PyObject *frame)
    PyObject *PyFrame_GetCode(PyObject *frame)
    int PyFrame_GetLineNumber(PyObject *frame)
    int PyFrame_GetLasti(PyObject *frame)
    PyObject *PyErr_Occurred()
    int PyGILState_Check() nogil

cdef enum:
    WITNESS_FLAG = 2 # SM_ARENA_WITNESS of shmalloc/core/layout.h

ERRORS = {
    <int>SM_INVALID: "SM_INVALID", <int>SM_NO_MEMORY: "SM_NO_MEMORY", <int>SM_NOT_FOUND: "SM_NOT_FOUND",
    <int>SM_MISMATCH: "SM_MISMATCH", <int>SM_TABLE_FULL: "SM_TABLE_FULL", <int>SM_STALLED: "SM_STALLED",
    <int>SM_DEADLOCK: "SM_DEADLOCK", <int>SM_NOT_ARENA: "SM_NOT_ARENA", <int>SM_TRUNCATED: "SM_TRUNCATED",
    <int>SM_CORRUPT: "SM_CORRUPT", <int>SM_VERSION: "SM_VERSION", <int>SM_READ_ONLY: "SM_READ_ONLY",
}


class CoreError(Exception):
    """A call of the witness's C failed: .code is its name ("SM_TABLE_FULL")."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


cdef int refuse(sm_err err) except -1:
    if err != SM_OK:
        raise CoreError(ERRORS.get(<int>err, f"#{<int>err}"))
    return 0


cdef struct code_seen:
    PyObject *code
    bint own
cdef enum:
    SEEN_CODES = 1024 # a power of two
cdef code_seen seen_codes[SEEN_CODES] # of OWN, by address; who meets another there takes its place
cdef dict OWN = {} # id of a code object -> (whether it is left out of stacks, the code, file and function as bytes)


cdef tuple code_known(PyObject *raw, object skip):
    known = OWN.get(<size_t>raw)
    if known is None:
        code = <object>raw
        if len(OWN) > 16384:
            OWN.clear()
            memset(seen_codes, 0, sizeof(seen_codes)) # they may be gone now
        known = (bool(skip(code)), code, code.co_filename.encode("utf-8", "replace"),
                 getattr(code, "co_qualname", code.co_name).encode("utf-8", "replace"))
        OWN[<size_t>raw] = known
    return known


cdef inline bint code_is_own(PyObject *code, object skip) except -1:
    """Whether stacks leave it out. The code must be alive."""
    cdef code_seen *at = &seen_codes[(<size_t>code >> 5) & (SEEN_CODES - 1)]
    if at.code != code:
        known = code_known(code, skip)
        at.code = code
        at.own = known[0]
    return at.own


cdef uint32_t stack_here(w_block *b, object skip) except? 0:
    """The calling thread's Python stack; frames that skip(code) names are left out."""
    cdef w_frame frames[16]
    cdef uint32_t n = 0
    cdef PyObject *raw
    cdef PyObject *frame = PyThreadState_GetFrame(PyThreadState_Get())
    cdef list alive = []
    while frame != NULL and n < W_FRAMES:
        this = <object>frame
        Py_DECREF(this) # PyThreadState_GetFrame and PyFrame_GetBack gave a reference; `this` has its own
        raw = PyFrame_GetCode(frame)
        code = <object>raw
        Py_DECREF(code)
        known = code_known(raw, skip)
        if not known[0]:
            alive.append(known)
            frames[n].f_file = PyBytes_AS_STRING(known[2])
            frames[n].f_function = PyBytes_AS_STRING(known[3])
            frames[n].f_line = <uint32_t>PyFrame_GetLineNumber(frame)
            n += 1
        frame = PyFrame_GetBack(<PyObject *>this)
    if frame != NULL:
        Py_DECREF(<object>frame)
    return w_stack_get(b, frames, n)


cdef uint32_t capture(w_block *b, void *ctx, void *caller) noexcept:
    if not PyGILState_Check() or PyErr_Occurred() != NULL:
        return 0 # a thread of C, or in the middle of an exception: the return address has to do
    return stack_here(b, (<Watch>ctx).skip)


cdef uint64_t place_here(w_block *b, void *ctx, void *caller) noexcept:
    """The instruction that the innermost Python frame is at, of those that stacks do not leave out."""
    cdef PyObject *frame
    cdef PyObject *outer
    cdef PyObject *code
    cdef bint own
    cdef uint64_t place = <uint64_t><size_t>caller
    if not PyGILState_Check() or PyErr_Occurred() != NULL:
        return place
    frame = PyThreadState_GetFrame(PyThreadState_Get())
    while frame != NULL:
        code = PyFrame_GetCode(frame)
        own = code_is_own(code, (<Watch>ctx).skip)
        if not own:
            place = <uint64_t><size_t>code * 31 + <uint64_t>(PyFrame_GetLasti(frame) + 1)
        Py_DECREF(<object>code)
        if not own:
            Py_DECREF(<object>frame)
            break
        outer = PyFrame_GetBack(frame)
        Py_DECREF(<object>frame)
        frame = outer
    return place


cdef void tell(w_block *b, void *ctx, uint32_t report) noexcept:
    if PyGILState_Check() and PyErr_Occurred() == NULL:
        (<Watch>ctx).on_report(<object>report)


# What __dealloc__ uses is still there then: a collector that breaks a cycle takes nothing out of it.
@cython.no_gc_clear
cdef class Watch:
    """This process's view of a block, and the calls by which watched locks report to it.

    A class is a number from class_get(); an instance any number that tells locks of a class apart; mode is EXCLUSIVE,
    SHARED or SHARED_RECURSIVE; flags are TRY, QUIET, CONTENDED and UNSURE.
    """
    cdef w_block *b
    cdef w_hooking k
    cdef object skip, on_report
    cdef public object on_task # () -> the TaskHeld of the task that this thread runs, or None
    cdef public object on_alive # (class, instance) -> whether this process has the file lock still
    # When the block is not an arena's: a buffer, referred to as the collector does not see, so that it goes last.
    cdef Py_buffer memory
    cdef void *mapped # or what of_file mapped
    cdef size_t mapped_bytes
    cdef bint armed

    def __dealloc__(self):
        if self.b != NULL:
            w_block_close(self.b) # only without an arena: detached() has been called otherwise
        if self.mapped != NULL:
            munmap(self.mapped, self.mapped_bytes)
        PyBuffer_Release(&self.memory) # of none: nothing

    @staticmethod
    def of_arena(capsule, bytes entry not None, geometry, skip, on_report):
        """Open the block in an arena's region "witness", made with this geometry (seven numbers, 0: default) if geometry
        is not None and there is none, and arm the arena's hooks. skip(code): frames to leave out of stacks;
        on_report(place): called for each new report of this process."""
        cdef w_door *door = <w_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
        cdef w_geometry g
        cdef void *mem = NULL
        cdef uint64_t off = 0, nbytes = 0
        cdef uint32_t version = 0
        cdef sm_hooks hooks
        cdef sm_err err = door.find(door.arena, "witness", &off, &nbytes, &version)
        if geometry is not None:
            g.g_classes, g.g_edges, g.g_stacks, g.g_frames, g.g_reports, g.g_threads, g.g_processes = geometry
            if err == SM_NOT_FOUND:
                nbytes = w_block_bytes(&g)
                if nbytes == 0:
                    refuse(SM_INVALID)
                refuse(door.region(door.arena, "witness", nbytes, W_VERSION, &mem))
                err = door.find(door.arena, "witness", &off, &nbytes, &version)
            refuse(err)
            if version != W_VERSION:
                refuse(SM_VERSION)
            refuse(w_block_format(door.base + off, nbytes, &g, entry))
        refuse(err)
        cdef Watch self = Watch.__new__(Watch)
        refuse(w_block_open(door.base + off, nbytes, False, &self.b))
        self.begin(skip, on_report)
        refuse(w_hooking_init(&self.k, self.b))
        w_hooking_table(&self.k, &hooks)
        door.set_hooks(door.arena, &hooks)
        self.armed = True
        if geometry is not None: # the tables before the flag: who attaches finds them
            refuse(door.announce(door.arena, WITNESS_FLAG, True))
        return self

    @staticmethod
    def of_memory(memory, bytes entry not None, geometry, skip, on_report):
        """Open, or make, the block in a writable buffer: watched locks report by the calls below."""
        cdef w_geometry g
        cdef Watch self = Watch.__new__(Watch)
        PyObject_GetBuffer(memory, &self.memory, PyBUF_WRITABLE)
        g.g_classes, g.g_edges, g.g_stacks, g.g_frames, g.g_reports, g.g_threads, g.g_processes = geometry
        refuse(w_block_format(self.memory.buf, <uint64_t>self.memory.len, &g, entry))
        refuse(w_block_open(self.memory.buf, <uint64_t>self.memory.len, False, &self.b))
        self.begin(skip, on_report)
        return self

    @staticmethod
    def of_file(path not None, uint64_t offset, uint64_t nbytes, skip, on_report):
        """Open the block that lies there in a file, which others made. No descriptor stays open; the memory stays mapped
        until the Watch goes.

        Raises: OSError. CoreError: there is no block, or one of another version.
        """
        cdef Watch self = Watch.__new__(Watch)
        cdef uint64_t skew = offset % <uint64_t>sysconf(_SC_PAGESIZE)
        cdef struct_stat seen
        cdef bytes raw = path.encode() if isinstance(path, str) else path
        cdef int fd = open(raw, O_RDWR | O_CLOEXEC)
        cdef int err
        if fd < 0:
            raise OSError(errno, strerror(errno).decode("utf-8", "replace"), path)
        if fstat(fd, &seen) == 0 and offset <= <uint64_t>seen.st_size and nbytes <= <uint64_t>seen.st_size - offset:
            self.mapped = mmap(NULL, nbytes + skew, PROT_READ | PROT_WRITE, MAP_SHARED, fd, <off_t>(offset - skew))
            err = errno
        else:
            self.mapped = MAP_FAILED
            err = EINVAL
        close(fd)
        if self.mapped == MAP_FAILED:
            self.mapped = NULL
            raise OSError(err, strerror(err).decode("utf-8", "replace"), path)
        self.mapped_bytes = nbytes + skew
        refuse(w_block_open(<char *>self.mapped + skew, nbytes, False, &self.b))
        self.begin(skip, on_report)
        return self

    cdef begin(self, skip, on_report):
        self.skip = skip
        self.on_report = on_report
        self.b.b_ctx = <void *>self
        self.b.b_capture = capture
        self.b.b_place = place_here
        self.b.b_tell = tell
        self.on_task = no_task
        self.on_alive = still
        self.b.b_task = task_here
        self.b.b_alive = alive_here

    def detached(self):
        """The arena's mapping is about to go, and its hooks are out of use: what is held is told of, the block is left.
        Of an arena that is still armed this is disarm()'s to call."""
        cdef w_block *b = self.b
        if b != NULL:
            w_report_flush(b)
            w_block_close(b)
            self.b = NULL

    cdef w_block *need(self) except NULL:
        if self.b == NULL:
            raise CoreError("SM_CLOSED")
        return self.b

    # ------------------------------------------------------------ classes and orders

    def class_get(self, str name not None, str kind not None, uint32_t subclass=0, uint32_t flags=0):
        """The number of the class, made if there is none. flags: SLEEPABLE, RECURSABLE, DUPOK, SPIN, NORELEASE, PRIVATE,
        PAIRED, FILE."""
        cdef uint32_t id = 0
        cdef bytes raw = name.encode("utf-8", "replace"), raw_kind = kind.encode("utf-8", "replace")
        cdef sm_err err = w_class_get(self.need(), raw, raw_kind, subclass, flags, &id)
        if err != SM_MISMATCH:
            refuse(err)
        return id

    def classes_named(self, str name not None, uint32_t subclass=0):
        """The numbers of the classes of that name and subclass, of whatever kind."""
        cdef w_block *b = self.need()
        cdef bytes raw = name.encode("utf-8", "replace")[:W_NAME_BYTES - 1]
        cdef uint32_t i
        return [i for i in range(min(b.b_header.h_classes, b.b_max_classes))
                if b.b_classes[i].c_subclass == subclass
                and b.b_classes[i].c_name[:strnlen(b.b_classes[i].c_name, W_NAME_BYTES)] == raw]

    def declare(self, uint32_t first, uint32_t second):
        """first comes before second, from now on."""
        refuse(w_declare(self.need(), first, second))

    def bless(self, uint32_t first, uint32_t second):
        """A reversal of these two is allowed."""
        refuse(w_bless(self.need(), first, second))

    # ------------------------------------------------------------ locks; once the block was left they say nothing

    def before(self, uint32_t c, uint64_t instance, int mode=0, uint32_t flags=0):
        """The lock is about to be waited for."""
        if self.b != NULL:
            w_before_acquire(self.b, c, instance, <w_mode>mode, flags, NULL)

    def acquired(self, uint32_t c, uint64_t instance, int mode=0, uint32_t flags=0):
        """The lock is ours. Without a call of before() the order is checked now."""
        if self.b != NULL:
            w_acquired(self.b, c, instance, <w_mode>mode, flags, NULL)

    def not_acquired(self, uint32_t c, uint64_t instance):
        """The wait is over without the lock."""
        if self.b != NULL:
            w_not_acquired(self.b, c, instance)

    def released(self, uint32_t c, uint64_t instance, bint must=False):
        """The lock is given back; must: tell if nobody held it. Returns: whether a thread of this process held it."""
        return self.b != NULL and w_release(self.b, c, instance, must, NULL)

    def given_elsewhere(self, uint32_t c, uint64_t instance):
        """The lock is given back, and a thread of another process took it: that one is told."""
        if self.b != NULL:
            w_given_elsewhere(self.b, c, instance)

    def recursion(self, uint32_t c, uint64_t instance, int mode=0):
        """The thread would wait for itself."""
        if self.b != NULL:
            w_recursion(self.b, c, instance, <w_mode>mode, NULL)

    def upgraded(self, uint32_t c, uint64_t instance):
        """A shared hold became exclusive."""
        if self.b != NULL:
            w_upgrade(self.b, c, instance, NULL)

    def downgraded(self, uint32_t c, uint64_t instance):
        """An exclusive hold became shared."""
        if self.b != NULL:
            w_downgrade(self.b, c, instance, NULL)

    def created(self, uint32_t c, uint64_t instance):
        """A lock of the class came to be."""
        if self.b != NULL:
            w_lock_created(self.b, c, instance)

    def destroyed(self, uint32_t c, uint64_t instance):
        """A lock of the class is no more."""
        if self.b != NULL:
            w_lock_destroyed(self.b, c, instance, NULL)

    def may_sleep(self, str what not None, str zone=None, bint forced=False):
        """Something that may sleep. Returns how many non-sleepable locks this thread holds; they are told of."""
        cdef bytes raw = what.encode("utf-8", "replace")
        cdef bytes raw_zone = None if zone is None else zone.encode("utf-8", "replace")
        if self.b == NULL:
            return 0
        return w_may_sleep(self.b, raw, NULL if raw_zone is None else PyBytes_AS_STRING(raw_zone), forced, NULL)

    def misuse(self, str what not None, uint32_t c, uint64_t instance, int mode=0, str detail=""):
        """Report that a lock is used as it must not be."""
        cdef bytes raw = what.encode("utf-8", "replace"), raw_detail = detail.encode("utf-8", "replace")
        if self.b != NULL:
            w_report_misuse(self.b, raw, c, instance, <uint32_t>mode, NULL, raw_detail)

    # ------------------------------------------------------------ state

    @property
    def watch(self):
        """1 on, 0 order checks off, -1 off for good."""
        return self.need().b_header.h_watch

    @watch.setter
    def watch(self, int value):
        if self.need().b_header.h_watch >= 0:
            self.b.b_header.h_watch = value

    @property
    def timing(self):
        """Whether waits and holds are timed."""
        return self.need().b_header.h_stat != 0

    @timing.setter
    def timing(self, bint value):
        self.need().b_header.h_stat = value

    def reset(self):
        """The figures of contention begin at zero again."""
        refuse(w_contention_reset(self.need()))

    @property
    def paused(self):
        """Whether this process learns no order and reports nothing; what it holds is known all the same."""
        return self.need().b_paused

    @paused.setter
    def paused(self, bint value):
        self.need().b_paused = value

    @property
    def closed(self):
        """Whether the block was left."""
        return self.b == NULL

    def sweep(self):
        """Tell of threads that are gone with locks held, and free their places; returns how many were gone."""
        return w_thread_sweep(self.need())

    def title(self, str name not None):
        """What tools call this process."""
        cdef bytes raw = name.encode("utf-8", "replace")
        w_thread_title(self.need(), raw)

    def seat(self, uint32_t cpu):
        """This process's slot in the arena."""
        w_thread_seat(self.need(), cpu)

    def parents(self):
        """{pid: pid of its parent when it joined}, of every process that did."""
        cdef w_block *b = self.need()
        cdef uint32_t i
        return {b.b_processes[i].p_pid: b.b_processes[i].p_parent for i in range(b.b_max_processes)
                if b.b_processes[i].p_pid != 0}

    def report(self, uint32_t place):
        """(tables, report) for the report at this place; see read_block."""
        cdef w_block *b = self.need()
        if place >= b.b_header.h_reports or place >= b.b_max_reports:
            raise IndexError(place)
        return report_row(b, place)

    def stack(self, uint32_t id):
        """((file, line, function), ...) innermost first."""
        return stack_row(self.need(), id)

    def edge(self, uint32_t id):
        """The edge's row, as in read_block."""
        cdef w_block *b = self.need()
        if id == 0 or id > b.b_header.h_edges or id > b.b_max_edges:
            raise IndexError(id)
        return edge_row(b, id - 1)

    def lock_class(self, uint32_t id):
        """The class's row, as in read_block."""
        cdef w_block *b = self.need()
        if id >= b.b_header.h_classes or id >= b.b_max_classes:
            raise IndexError(id)
        return class_row(b, id)


def no_task():
    return None


def still(c, instance):
    return True


include "reader.pxi"
include "waiting.pxi"
include "foreign.pxi"
include "tasks.pxi"
include "locktype.pxi"


def block_place(capsule):
    """(offset, bytes) of the region "witness" in the arena's object. Raises: CoreError: there is none."""
    cdef w_door *door = <w_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
    cdef uint64_t off = 0, nbytes = 0
    cdef uint32_t version = 0
    refuse(door.find(door.arena, "witness", &off, &nbytes, &version))
    return off, nbytes


def disarm(capsule, bint everywhere):
    """Take the arena's hooks out; everywhere: the header does not ask anybody to arm any more."""
    cdef w_door *door = <w_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
    door.clear_hooks(door.arena, W_HOOKS)
    if everywhere:
        refuse(door.announce(door.arena, WITNESS_FLAG, False))
