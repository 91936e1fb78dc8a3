/* item_life.h - birth and death of Item objects, and the shortest way into Zone.alloc.
 * Owns the list of dead Items that the next ones are made of. Must do here only what needs no Python: whatever is not
 * plain (a callback, a claim, an error, the last reference to a zone) goes to the functions that Cython wrote.
 * Runs with the interpreter's lock held. Rejected: leaving it to Cython, whose deallocation saves and restores the
 * current exception around every object and whose argument parsing is twice as long as the allocation (26 against 18 ns).
 */
#ifndef SM_NATIVE_ITEM_LIFE_H
#define SM_NATIVE_ITEM_LIFE_H

#include <Python.h>

#include "core/shmalloc.h"

/* Everything an Item has, right after the object header. */
struct item_body {
    struct sm_zone *z;
    char *mem;        /* what the user sees of it */
    uint64_t *word;   /* its state word */
    uint64_t expect;  /* what the word must be; 0: gone */
    Py_ssize_t nbytes;
    uint32_t exports; /* open buffers */
    uint32_t place;   /* in the attachment's table of exported items */
    uint32_t epoch;   /* of the attachment when it got the item */
    uint32_t gone;    /* GONE_* */
};

#define ITEM_BODY(o) ((struct item_body *)((PyObject *)(o) + 1))
#define ITEMS_KEPT 256

static PyTypeObject *item_type;
static destructor item_dealloc_cython;
static PyObject *item_dead;    /* linked through body.z */
static unsigned item_dead_count;

/* The calls that are rare are out of line, so that the short way through their callers saves no register. */
#define RARE __attribute__((noinline, cold)) static

/* Takes an Item from the list of dead ones: NULL when there is none. */
static inline PyObject *item_revive(void) {
#ifdef Py_REF_DEBUG
    return NULL; /* the interpreter counts every reference: no short cut */
#else
    PyObject *o = item_dead;
    if (sm_likely(o != NULL)) {
        item_dead = (PyObject *)ITEM_BODY(o)->z;
        item_dead_count--;
        Py_SET_REFCNT(o, 1);
    }
    return o;
#endif
}

/* A new reference to an Item whose body is garbage; NULL with MemoryError. */
static inline PyObject *item_blank(void) {
    PyObject *o = item_revive();
    return sm_likely(o != NULL) ? o : item_type->tp_alloc(item_type, 0);
}

/* Fills a blank Item: `word` belongs to memory that this CPU holds. */
static inline void item_fill(PyObject *o, struct sm_zone *z, void *mem, uint64_t *word, Py_ssize_t nbytes) {
    struct item_body *b = ITEM_BODY(o);
    b->z = z;
    b->mem = (char *)mem;
    b->word = word;
    b->expect = sm_load_rlx(word);
    b->nbytes = nbytes;
    b->exports = 0;
    b->place = 0;
    b->epoch = z->z_epoch;
    b->gone = 0;
    z->z_refs++;
}

/* Gives a plain item back to its CPU's bucket. False: nothing happened, go the long way. */
static inline bool item_push(struct item_body *b) {
    struct sm_zone *z = b->z;
    struct sm_cpu_shm *cpu = z->z_fast_cpu;
    sm_off_t off = (sm_off_t)((uint8_t *)b->mem - z->z_base);
    if (sm_unlikely(b->gone != 0) || sm_unlikely(sm_load_rlx(b->word) != b->expect)) {
        return false;
    }
    sm_store_rlx(&cpu->cpu_op, z->z_op_free | SM_OP_ITEM_BITS(off));
    sm_compiler_barrier(); /* pairs with membarrier in quiesce.c */
    bool done = sm_likely(sm_load_acq(&cpu->cpu_claim) == 0) &&
                sm_likely(sm_cache_give(z, z->z_low_held, SM_ST_FREE_DELTA, off, b->word));
    sm_store_rel(&cpu->cpu_op, 0);
    return done;
}

RARE void item_forget(PyObject *o) {
    Py_TYPE(o)->tp_free(o);
}

static void item_dealloc(PyObject *o) {
    struct item_body *b = ITEM_BODY(o);
    if (sm_unlikely(b->z == NULL) || sm_unlikely(b->z->z_refs == 1) || (b->expect != 0 && sm_unlikely(!item_push(b)))) {
        item_dealloc_cython(o);
        return;
    }
    b->z->z_refs--;
#ifndef Py_REF_DEBUG
    if (sm_likely(item_dead_count < ITEMS_KEPT)) {
        b->z = (struct sm_zone *)item_dead;
        item_dead = o;
        item_dead_count++;
        return;
    }
#endif
    item_forget(o);
}

/* Up to n items of a plain zone in one operation of this CPU, into `out`. Returns how many. */
static inline uint32_t items_take(struct sm_zone *z, uint32_t n, struct sm_entry *out) {
    /* The op word can name one item: several go together only where recovery need not tell them apart (no keep zone). */
    struct sm_cpu_shm *cpu = n == 1 ? z->z_fast_cpu : z->z_inline_cpu;
    uint32_t got = 0;
    sm_store_rlx(&cpu->cpu_op, z->z_op_alloc);
    sm_compiler_barrier(); /* pairs with membarrier in quiesce.c */
    if (sm_likely(sm_load_acq(&cpu->cpu_claim) == 0)) {
        while (got < n && sm_cache_take(z, z->z_low_held, &out[got])) {
            got++;
        }
    }
    sm_store_rel(&cpu->cpu_op, 0);
    return got;
}

static inline PyObject *item_of_entry(PyObject *o, struct sm_zone *z, sm_off_t item, sm_off_t word) {
    item_fill(o, z, z->z_base + item, (uint64_t *)(z->z_base + word), z->z_item_bytes);
    return o;
}

RARE PyObject *item_new_of_entry(struct sm_zone *z, sm_off_t item, sm_off_t word) {
    PyObject *o = item_type->tp_alloc(item_type, 0);
    if (o == NULL) {
        (void)sm_zone_free(z, z->z_base + item, NULL);
        return NULL;
    }
    return item_of_entry(o, z, item, word);
}

/* Items for n entries that items_take gave, into an empty list of n places; -1 with MemoryError, the rest freed. */
static int items_into(PyObject *list, struct sm_zone *z, uint32_t n, const struct sm_entry *e) {
    uint32_t i = 0;
    for (; i < n; i++) {
        PyObject *o = item_blank();
        if (sm_unlikely(o == NULL)) {
            break;
        }
        PyList_SET_ITEM(list, i, item_of_entry(o, z, e[i].e_item, e[i].e_word));
    }
    for (uint32_t rest = i; rest < n; rest++) {
        (void)sm_zone_free(z, z->z_base + e[rest].e_item, NULL);
    }
    return i == n ? 0 : -1;
}

/* How many of the list's first n things are Items that this zone may free now; their memory goes into mem. */
static inline Py_ssize_t items_freeable(PyObject *list, Py_ssize_t n, const struct sm_zone *z, void **mem) {
    uint32_t epoch = z->z_epoch;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *o = PyList_GET_ITEM(list, i);
        const struct item_body *b = ITEM_BODY(o);
        if (sm_unlikely(Py_TYPE(o) != item_type) || sm_unlikely(b->z != z) || sm_unlikely(b->exports != 0) ||
            sm_unlikely(b->epoch != epoch) || sm_unlikely(b->expect == 0) ||
            sm_unlikely(sm_load_rlx(b->word) != b->expect)) {
            return i;
        }
        mem[i] = b->mem;
    }
    return n;
}

/* These Items were freed. */
static inline void items_freed(PyObject *list, Py_ssize_t from, Py_ssize_t to, uint32_t gone) {
    for (Py_ssize_t i = from; i < to; i++) {
        struct item_body *b = ITEM_BODY(PyList_GET_ITEM(list, i));
        b->expect = 0;
        b->gone = gone;
    }
}

/* ---------------------------------------------------------------- zone.alloc() with no argument but plain flags */

struct zone_body { /* the first field of a Zone */
    struct sm_zone *z;
};

typedef PyObject *(*fast_method)(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
static fast_method zone_alloc_cython;
static PyObject *flag_nowait, *flag_waitok;

static PyObject *zone_alloc_entry(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    if (sm_likely(names == NULL) &&
        (nargs == 0 || (nargs == 1 && (args[0] == flag_waitok || args[0] == flag_nowait)))) {
        struct sm_zone *z = ((struct zone_body *)(self + 1))->z;
        struct sm_entry e;
        if (sm_likely(items_take(z, 1, &e) != 0)) {
            PyObject *o = item_revive();
            return sm_likely(o != NULL) ? item_of_entry(o, z, e.e_item, e.e_word)
                                        : item_new_of_entry(z, e.e_item, e.e_word);
        }
    }
    return zone_alloc_cython(self, args, nargs, names);
}

/* Puts these functions in the places of Cython's. A method of another kind than expected stays what it is. */
static int item_life_begin(PyObject *item_class, PyObject *zone_class) {
    PyTypeObject *item = (PyTypeObject *)item_class, *zone = (PyTypeObject *)zone_class;
    item_type = item;
    item_dealloc_cython = item->tp_dealloc;
    item->tp_dealloc = item_dealloc;
    flag_nowait = PyLong_FromLong(SM_M_NOWAIT);
    flag_waitok = PyLong_FromLong(SM_M_WAITOK);
    if (flag_nowait == NULL || flag_waitok == NULL) {
        return -1;
    }
    PyObject *found = PyDict_GetItemString(zone->tp_dict, "alloc");
    if (found != NULL && Py_IS_TYPE(found, &PyMethodDescr_Type)) {
        PyMethodDef *method = ((PyMethodDescrObject *)found)->d_method;
        if (method->ml_flags == (METH_FASTCALL | METH_KEYWORDS)) {
            zone_alloc_cython = (fast_method)(void (*)(void))method->ml_meth;
            method->ml_meth = (PyCFunction)(void (*)(void))zone_alloc_entry;
        }
    }
    return 0;
}

#endif
