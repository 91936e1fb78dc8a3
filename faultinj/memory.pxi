# memory.pxi - the point "memory.alloc": the interpreter's own allocations may fail. Owns the hook in the interpreter's
# allocators (PEP 445) of the domains MEM and OBJ, which are called with the GIL held. The hook allocates nothing, takes
# no lock and calls no Python; a thread that is inside it already, or that is spared, passes.
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
    static int fi_memory_fails(size_t bytes) {
        struct fi_request q = {.q_bytes = bytes};
        struct fi_verdict v;
        int fails = 0;
        if (fi_memory_block == NULL || fi_memory_stage != FI_BEGUN || fi_memory_inside) {
            return 0;
        }
        fi_memory_inside++;
        if (fi_reach(fi_memory_block, fi_memory_point, &q, &v)) {
            fi_act(fi_memory_block, &v);
            fails = v.v_action == FI_A_RETURN || v.v_action == FI_A_RAISE;
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
    static void fi_memory_set(struct fi_block *b, uint32_t point) {
        static const PyMemAllocatorDomain domains[2] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
        fi_memory_point = point;
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
    """
    void fi_memory_set(fi_block *b, uint32_t point)
    int fi_memory_at_once(int at_once) except -1
    void fi_memory_spare(int more)

cdef Block MEMORY = None # whose point it is: lives as long as the hook may look at it


def fail_memory(point, bint at_program=False):
    """Have the interpreter's allocations reach this point of the block in use; None: no more. at_program: not before the
    interpreter has started up and begins with its program."""
    global MEMORY
    if point is None or CURRENT is None or CURRENT.gone:
        fi_memory_set(NULL, 0)
        return
    MEMORY = CURRENT
    fi_memory_at_once(not at_program)
    fi_memory_set(&MEMORY.b, <uint32_t>point)


def spare_memory(bint wanted):
    """True: allocations of this thread pass from now on, until False; calls nest."""
    fi_memory_spare(1 if wanted else -1)
