# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: binding=False, embedsignature=True, auto_pickle=False, warn.unused=False
"""The one module that sees shmalloc.h: attachments, zones, items, queues and locks as Python objects.

Owns the process-local life of those objects. Must hold no policy and no text for people: failures become exceptions
through the function that ``bind`` was given, figures become records the same way. Every call runs with the
interpreter's lock held, which is what makes an attachment's state belong to one thread at a time; only a wait for
another process lets it go (``block_begin``).

Parts: errors.pxi, callback.pxi, attachment.pxi, item.pxi, zone.pxi, queue.pxi, mbufs.pxi, packet*.pxi, mbufq.pxi,
sockbuf.pxi, mac.pxi, userlock.pxi, figures.pxi, recovery.pxi, catalogue.pxi, companion.pxi,
site.pxi, who.pxi.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_CheckExact, PyByteArray_GET_SIZE
from cpython.buffer cimport (PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release,
                             PyObject_CheckBuffer, PyObject_GetBuffer)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetPointer, PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EINVAL
from libc.limits cimport INT_MAX
from libc.math cimport isnan
from libc.stdio cimport SEEK_END
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset, strlen, strncmp, strncpy

from posix.types cimport off_t
from posix.unistd cimport lseek

from shmalloc._core cimport *

from time import monotonic_ns

cdef extern from "native/item_life.h":
    struct item_body:
        sm_zone *z
        char *mem
        uint64_t *word
        uint64_t expect
        Py_ssize_t nbytes
        uint32_t exports, place, epoch, gone
    object item_blank()
    void item_fill(object item, sm_zone *z, void *mem, uint64_t *word, Py_ssize_t nbytes)
    bint item_push(item_body *b)
    uint32_t items_take(sm_zone *z, uint32_t n, sm_entry *out)
    int items_into(list items, sm_zone *z, uint32_t n, const sm_entry *entries) except -1
    Py_ssize_t items_freeable(list items, Py_ssize_t n, const sm_zone *z, void **mem)
    void items_freed(list items, Py_ssize_t start, Py_ssize_t end, uint32_t gone)
    int item_life_begin(object item_type, object zone_type) except -1

cdef extern from "native/mbuf_life.h":
    struct mbuf_body:
        sm_mb *mb
        sm_mbuf *m
        uint64_t *word
        uint64_t expect
        uint32_t exports, writers, place, epoch, gone, shape
    object mbuf_blank()
    void mbuf_fill(object packet, sm_mb *mb, sm_mbuf *m, uint64_t *word)
    int mbuf_life_begin(object mbuf_type, object mbufs_type) except -1

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *PyEval_SaveThread() nogil
    void PyEval_RestoreThread(PyThreadState *state) nogil
    int PyErr_CheckSignals() except -1
    void PyErr_SetObject(object kind, object value)
    void PyErr_WriteUnraisable(object where)
    Py_ssize_t PyNumber_AsSsize_t(object o, object overflow) except? -1
    bint PySlice_Check(object o)
    int PySlice_Unpack(object s, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t *step) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t length, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t step)

include "native/errors.pxi"
include "native/callback.pxi"
include "native/attachment.pxi"
include "native/site.pxi"
include "native/item.pxi"
include "native/zone.pxi"
include "native/queue.pxi"
include "native/mbufs.pxi"
include "native/packet.pxi"
include "native/packet_life.pxi"
include "native/packet_shape.pxi"
include "native/packet_view.pxi"
include "native/packet_tag.pxi"
include "native/mbufq.pxi"
include "native/sockbuf.pxi"
include "native/mac.pxi"
include "native/userlock.pxi"
include "native/figures.pxi"
include "native/who.pxi"
include "native/recovery.pxi"
include "native/catalogue.pxi"
include "native/companion.pxi"


cdef int life_begin() except -1:
    """item_life.h knows where Cython puts the first field of an object: right after the header."""
    cdef Item item = Item.__new__(Item)
    cdef Zone zone = Zone.__new__(Zone)
    if <char *>&item.b != <char *><PyObject *>item + sizeof(PyObject) or (
            <char *>&zone.z != <char *><PyObject *>zone + sizeof(PyObject)):
        raise ImportError("shmalloc was compiled by a Cython that lays out objects in another way than item_life.h expects")
    cdef Mbuf packet = Mbuf.__new__(Mbuf)
    cdef Mbufs mbufs = Mbufs.__new__(Mbufs)
    if <char *>&packet.b != <char *><PyObject *>packet + sizeof(PyObject) or (
            <char *>&mbufs.mb != <char *><PyObject *>mbufs + sizeof(PyObject)):
        raise ImportError("shmalloc was compiled by a Cython that lays out objects in another way than mbuf_life.h expects")
    item_life_begin(Item, Zone)
    return mbuf_life_begin(Mbuf, Mbufs)


life_begin()
