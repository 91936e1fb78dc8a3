# memory.pxi - the point "memory.alloc": the interpreter's own allocations may fail. Owns the hook in the interpreter's
# allocators (PEP 445) of the domains MEM and OBJ, which are called with the GIL held. The hook allocates nothing, takes
# no lock and calls no Python; a thread that is inside it already, or that is spared, passes.
# What counts is what the program asks for: while one of its frames is on top, and no exception is being raised. The
# interpreter itself (without a frame), its loading of modules (importlib), the injector and, once an allocation was
# refused, whatever is asked for on the way to the handler pass: CPython 3.11 turns in circles for ever when it cannot
# enter a handler for want of an int, and ends itself (Py_FatalError) where it cannot make the exception that it raises.
# In a test, frames of the test runner do not count either, nor do other threads.
# It waits for the main program: of the audit events the first `exec` after a `cpython.run_*`, which is past the reading
# and compiling of the script.
# RAW is left alone: much of what asks there cannot report that it got nothing.

cdef extern from *:
    """
    #include <Python.h>
    #include "faultinj/core/faultinj.h"
    static PyMemAllocatorEx fi_genuine[2];
    static int fi_hooked;
    static struct fi_block *fi_memory_block; /* NULL: every allocation passes */
    static uint32_t fi_memory_point;
    enum { FI_STARTING_UP, FI_LOADING, FI_BEGUN };
    static int fi_memory_stage;
    static _Thread_local int fi_memory_inside;
    static _Thread_local uint64_t fi_memory_mine; /* the run of allocations that this thread takes part in */
    static uint64_t fi_memory_whose; /* 0: every thread counts; else those that have this number */
    enum { FI_MOST_UNWOUND = 128 };
    /* Where an allocation was refused, and its callers: while the top frame is one of them and has not gone on, the
     * exception is on its way. The frames are compared, never followed. */
    static _Thread_local struct { void *u_frame; int u_at; } fi_unwound[FI_MOST_UNWOUND];
    static _Thread_local int fi_unwound_count;
    enum { FI_MOST_PREFIXES = 8, FI_PREFIX_BYTES = 512 };
    struct fi_prefixes { char p_text[FI_MOST_PREFIXES][FI_PREFIX_BYTES]; int p_count; };
    static struct fi_prefixes fi_passing, fi_looked_through, fi_looked_at; /* see frames_count() */
    static int fi_begins_so(const struct fi_prefixes *p, const char *file) {
        for (int i = 0; i < p->p_count; i++) {
            if (strncmp(file, p->p_text[i], strlen(p->p_text[i])) == 0) {
                return 1;
            }
        }
        return 0;
    }
    static int fi_frame_counts(PyFrameObject *frame, int top, int *decided) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        const char *file = PyUnicode_AsUTF8(code->co_filename);
        int counts = 1;
        *decided = 1;
        if (file == NULL) {
            PyErr_Clear();
        } else if ((top && strncmp(file, "<frozen importlib", 17) == 0) || fi_begins_so(&fi_passing, file)) {
            counts = 0;
        } else if (fi_begins_so(&fi_looked_through, file) && !fi_begins_so(&fi_looked_at, file)) {
            *decided = 0;
        }
        Py_DECREF(code);
        return counts;
    }
    /* Whether what is asked for here is the program's. The collector, which runs other people's code, is kept still. */
    static int fi_programs_own(void) {
        if (!PyGILState_Check() || PyErr_Occurred() != NULL) {
            return 0;
        }
        int was = PyGC_Disable(), counts = 0, decided = 0;
        PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
        for (int i = 0; i < fi_unwound_count && frame != NULL && !decided; i++) {
            decided = frame == fi_unwound[i].u_frame && PyFrame_GetLasti(frame) == fi_unwound[i].u_at;
        }
        if (frame != NULL && !decided) {
            fi_unwound_count = 0;
        }
        for (int top = 1; frame != NULL && !decided; top = 0) {
            counts = fi_frame_counts(frame, top, &decided);
            if (!decided) {
                PyFrameObject *back = PyFrame_GetBack(frame);
                Py_DECREF(frame);
                frame = back;
            }
        }
        Py_XDECREF(frame);
        if (was) {
            PyGC_Enable();
        }
        return counts;
    }
    static void fi_refuses_here(void) {
        int was = PyGC_Disable();
        PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
        fi_unwound_count = 0;
        while (frame != NULL) {
            if (fi_unwound_count < FI_MOST_UNWOUND) {
                fi_unwound[fi_unwound_count].u_frame = frame;
                fi_unwound[fi_unwound_count++].u_at = PyFrame_GetLasti(frame);
            }
            PyFrameObject *back = PyFrame_GetBack(frame);
            Py_DECREF(frame);
            frame = back;
        }
        if (was) {
            PyGC_Enable();
        }
    }
    /* Whether a sweep or a program asks for the point: else looking at frames would slow everybody down for nothing. */
    static int fi_memory_wanted(const struct fi_block *b, uint32_t point) {
        const struct fi_header *h = b->b_header;
        return (sm_load_rlx(&h->w_kind) != FI_OFF && sm_load_rlx(&h->w_selected[point / 64]) >> (point % 64) & 1) ||
               (sm_load_rlx(&b->b_points[point].p_live) & FI_LOW) != 0;
    }
    static int fi_memory_fails(size_t bytes) {
        struct fi_request q = {.q_bytes = bytes};
        struct fi_verdict v;
        int fails = 0;
        if (fi_memory_block == NULL || fi_memory_stage != FI_BEGUN || fi_memory_inside ||
            (fi_memory_whose != 0 && fi_memory_whose != fi_memory_mine) ||
            !fi_memory_wanted(fi_memory_block, fi_memory_point)) {
            return 0;
        }
        fi_memory_inside++;
        if (fi_programs_own() && fi_reach(fi_memory_block, fi_memory_point, &q, &v)) {
            fi_act(fi_memory_block, &v);
            fails = v.v_action == FI_A_RETURN || v.v_action == FI_A_RAISE;
            if (fails) {
                fi_refuses_here();
            }
        }
        fi_memory_inside--;
        return fails;
    }
    static void *fi_malloc(void *ctx, size_t n) {
        PyMemAllocatorEx *g = ctx;
        return fi_memory_fails(n) ? NULL : g->malloc(g->ctx, n);
    }
    static void *fi_calloc(void *ctx, size_t n, size_t each) {
        PyMemAllocatorEx *g = ctx;
        return fi_memory_fails(each != 0 && n > SIZE_MAX / each ? SIZE_MAX : n * each) ? NULL : g->calloc(g->ctx, n, each);
    }
    static void *fi_realloc(void *ctx, void *p, size_t n) {
        PyMemAllocatorEx *g = ctx;
        return fi_memory_fails(n) ? NULL : g->realloc(g->ctx, p, n);
    }
    static void fi_free(void *ctx, void *p) {
        PyMemAllocatorEx *g = ctx;
        g->free(g->ctx, p);
    }
    static int fi_memory_begins(const char *event, PyObject *args, void *ctx) {
        (void)args;
        (void)ctx;
        if (fi_memory_stage == FI_STARTING_UP && strncmp(event, "cpython.run_", 12) == 0) {
            fi_memory_stage = FI_LOADING;
        } else if (fi_memory_stage == FI_LOADING && strcmp(event, "exec") == 0) {
            fi_memory_stage = FI_BEGUN;
        }
        return 0;
    }
    static int fi_memory_at_once(int at_once) {
        if (at_once || fi_memory_stage != FI_STARTING_UP) {
            fi_memory_stage = FI_BEGUN;
            return 0;
        }
        return PySys_AddAuditHook(fi_memory_begins, NULL);
    }
    static void fi_memory_spare(int more) {
        fi_memory_inside += more;
    }
    /* NULL disarms; the hook stays, since what was allocated through it is freed through it. */
    static void fi_memory_set(struct fi_block *b, uint32_t point, int thread_alone) {
        static uint64_t runs;
        static const PyMemAllocatorDomain domains[2] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
        fi_memory_point = point;
        fi_memory_whose = 0;
        if (b != NULL && thread_alone) {
            fi_memory_whose = fi_memory_mine = ++runs;
        }
        fi_memory_block = b;
        if (b == NULL || fi_hooked) {
            return;
        }
        for (int i = 0; i < 2; i++) {
            PyMem_GetAllocator(domains[i], &fi_genuine[i]);
            PyMemAllocatorEx hook = {&fi_genuine[i], fi_malloc, fi_calloc, fi_realloc, fi_free};
            PyMem_SetAllocator(domains[i], &hook);
        }
        fi_hooked = 1;
    }
    static int fi_prefix_add(struct fi_prefixes *p, const char *text) {
        if (p->p_count == FI_MOST_PREFIXES || strlen(text) >= FI_PREFIX_BYTES) {
            return 0;
        }
        strcpy(p->p_text[p->p_count++], text);
        return 1;
    }
    """
    struct fi_prefixes:
        int p_count
    fi_prefixes fi_passing, fi_looked_through, fi_looked_at
    int fi_prefix_add(fi_prefixes *p, const char *text)
    void fi_memory_set(fi_block *b, uint32_t point, int thread_alone)
    int fi_memory_at_once(int at_once) except -1
    void fi_memory_spare(int more)

cdef Block MEMORY = None # whose point it is: lives as long as the hook may look at it


def fail_memory(point, bint at_program=False, bint thread_alone=False):
    """Have the interpreter's allocations reach this point of the block in use; None: no more. at_program: not before the
    interpreter has started up and begins with its program; thread_alone: only those of the calling thread."""
    global MEMORY
    if point is None or CURRENT is None or CURRENT.gone:
        fi_memory_set(NULL, 0, 0)
        return
    MEMORY = CURRENT
    fi_memory_at_once(not at_program)
    fi_memory_set(&MEMORY.b, <uint32_t>point, thread_alone)


cdef int prefixes(fi_prefixes *p, texts) except -1:
    p.p_count = 0
    for text in texts:
        if not fi_prefix_add(p, text.encode()):
            raise ValueError(f"{text}: too long, or too many folders")
    return 0


def frames_count(passing=(), looked_through=(), looked_at=()):
    """Whose allocations count, by the beginnings of file names: none while the innermost frame that is not `looked_through`
    is `passing`; `looked_at`: folders in those that are looked through that are not.

    Raises: ValueError: more than 8 of a sort, or longer than 511 bytes.
    """
    prefixes(&fi_passing, passing)
    prefixes(&fi_looked_through, looked_through)
    prefixes(&fi_looked_at, looked_at)


def spare_memory(bint wanted):
    """True: allocations of this thread pass from now on, until False; calls nest."""
    fi_memory_spare(1 if wanted else -1)
