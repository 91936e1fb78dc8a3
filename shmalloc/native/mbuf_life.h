/* mbuf_life.h - birth and death of Mbuf objects, and the shortest way into Mbufs.m_getcl.
 * Owns the list of dead Mbufs that the next ones are made of. Must do here only what needs no Python: a packet of more
 * than one mbuf, a tag, a shared cluster, a full bucket and every error go to the functions that Cython wrote.
 * Runs with the interpreter's lock held. The same way, and for the same reason, as item_life.h.
 */
#ifndef SM_NATIVE_MBUF_LIFE_H
#define SM_NATIVE_MBUF_LIFE_H

#include "item_life.h"

/* Everything an Mbuf has, right after the object header. */
struct mbuf_body {
    struct sm_mb *mb;
    struct mbuf *m;   /* the packet's first mbuf */
    uint64_t *word;   /* its state word */
    uint64_t expect;  /* what the word must be; 0: gone */
    uint32_t exports; /* open memoryviews of any of its mbufs */
    uint32_t writers; /* of them, those that may write */
    uint32_t place;   /* in the attachment's table of exported things */
    uint32_t epoch;   /* of the attachment when it got the packet */
    uint32_t gone;    /* GONE_* */
    uint32_t shape;   /* grows when mbufs may have moved: views of an earlier shape are stale */
};

#define MBUF_BODY(o) ((struct mbuf_body *)((PyObject *)(o) + 1))
#define MBUFS_KEPT 256

static PyTypeObject *mbuf_type;
static destructor mbuf_dealloc_cython;
static PyObject *mbuf_dead; /* linked through body.mb */
static unsigned mbuf_dead_count;

static inline PyObject *mbuf_revive(void) {
#ifdef Py_REF_DEBUG
    return NULL; /* the interpreter counts every reference: no short cut */
#else
    PyObject *o = mbuf_dead;
    if (sm_likely(o != NULL)) {
        mbuf_dead = (PyObject *)MBUF_BODY(o)->mb;
        mbuf_dead_count--;
        Py_SET_REFCNT(o, 1);
    }
    return o;
#endif
}

/* A new reference to an Mbuf whose body is garbage; NULL with MemoryError. */
static inline PyObject *mbuf_blank(void) {
    PyObject *o = mbuf_revive();
    return sm_likely(o != NULL) ? o : mbuf_type->tp_alloc(mbuf_type, 0);
}

/* Fills a blank Mbuf: `word` belongs to an mbuf that this CPU holds. The first reference on the zone's handle was taken
 * by the Mbufs object that the caller came through, or is taken by the caller. */
static inline void mbuf_fill(PyObject *o, struct sm_mb *mb, struct mbuf *m, uint64_t *word) {
    struct mbuf_body *b = MBUF_BODY(o);
    struct sm_zone *z = mb->mb_zone[SM_MBZ_MBUF];
    b->mb = mb;
    b->m = m;
    b->word = word;
    b->expect = sm_load_rlx(word);
    b->exports = 0;
    b->writers = 0;
    b->place = 0;
    b->epoch = z->z_epoch;
    b->gone = 0;
    b->shape = 0;
    z->z_refs++;
}

static void mbuf_dealloc(PyObject *o) {
    struct mbuf_body *b = MBUF_BODY(o);
    if (sm_unlikely(b->mb == NULL) || sm_unlikely(b->mb->mb_zone[SM_MBZ_MBUF]->z_refs == 1) ||
        (b->expect != 0 &&
         (sm_unlikely(b->m->m_next != 0) || sm_unlikely(sm_load_rlx(b->word) != b->expect) ||
          sm_unlikely(b->epoch != b->mb->mb_zone[SM_MBZ_MBUF]->z_epoch) || sm_unlikely(!m_free_cached(b->mb, b->m))))) {
        mbuf_dealloc_cython(o);
        return;
    }
    b->mb->mb_zone[SM_MBZ_MBUF]->z_refs--;
#ifndef Py_REF_DEBUG
    if (sm_likely(mbuf_dead_count < MBUFS_KEPT)) {
        b->mb = (struct sm_mb *)mbuf_dead;
        mbuf_dead = o;
        mbuf_dead_count++;
        return;
    }
#endif
    item_forget(o);
}

/* ---------------------------------------------------------------- mbufs.m_getcl() with no argument but the usual */

struct mbufs_body { /* the first field of an Mbufs */
    struct sm_mb *mb;
};

static fast_method mbufs_getcl_cython;
static PyObject *number_data, *number_pkthdr;

static PyObject *mbufs_getcl_entry(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    if (sm_likely(names == NULL) &&
        (nargs == 0 || ((args[0] == flag_waitok || args[0] == flag_nowait) &&
                        (nargs == 1 || (nargs == 3 && args[1] == number_data && args[2] == number_pkthdr))))) {
        struct sm_mb *mb = ((struct mbufs_body *)(self + 1))->mb;
        PyObject *o = mbuf_revive();
        if (sm_likely(o != NULL)) {
            uint64_t *word;
            struct mbuf *m = m_getcl_cached(mb, MT_DATA, M_PKTHDR, &word);
            if (sm_likely(m != NULL)) {
                mbuf_fill(o, mb, m, word);
                return o;
            }
            MBUF_BODY(o)->mb = NULL;
            Py_DECREF(o);
        }
    }
    return mbufs_getcl_cython(self, args, nargs, names);
}

/* Puts these functions in the places of Cython's. A method of another kind than expected stays what it is. */
static int mbuf_life_begin(PyObject *mbuf_class, PyObject *mbufs_class) {
    PyTypeObject *mbuf = (PyTypeObject *)mbuf_class, *mbufs = (PyTypeObject *)mbufs_class;
    mbuf_type = mbuf;
    mbuf_dealloc_cython = mbuf->tp_dealloc;
    mbuf->tp_dealloc = mbuf_dealloc;
    number_data = PyLong_FromLong(MT_DATA);
    number_pkthdr = PyLong_FromLong(M_PKTHDR);
    if (number_data == NULL || number_pkthdr == NULL) {
        return -1;
    }
    PyObject *found = PyDict_GetItemString(mbufs->tp_dict, "m_getcl");
    if (found != NULL && Py_IS_TYPE(found, &PyMethodDescr_Type)) {
        PyMethodDef *method = ((PyMethodDescrObject *)found)->d_method;
        if (method->ml_flags == (METH_FASTCALL | METH_KEYWORDS)) {
            mbufs_getcl_cython = (fast_method)(void (*)(void))method->ml_meth;
            method->ml_meth = (PyCFunction)(void (*)(void))mbufs_getcl_entry;
        }
    }
    return 0;
}

#endif
