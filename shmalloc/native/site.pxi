# site.pxi - where in a Python program an allocation stands: the innermost frames that are not of this package. Owns the
# memory of sites by frames, one dict an attachment, so that a repeated allocation costs a walk over a few frames and one
# look-up. A code object is told by its address and kept alive with its site: two functions that are alike in every byte
# are equal to the interpreter, and stand in two files. The wording of a site is sites.py's.

cdef extern from "Python.h":
    PyThreadState *PyThreadState_Get()
    PyObject *PyThreadState_GetFrame(PyThreadState *state)
    PyObject *PyFrame_GetBack(PyObject *frame)
    PyObject *PyFrame_GetCode(PyObject *frame)
    int PyFrame_GetLasti(PyObject *frame)

cdef enum:
    SITES_KEPT = 8192

cdef dict OWN_CODE = {} # id of a code object -> (whether it is of this package, the code object)


cdef bint is_own(object code) except -1:
    known = OWN_CODE.get(<size_t><PyObject *>code)
    if known is None:
        if len(OWN_CODE) >= SITES_KEPT:
            OWN_CODE.clear()
        known = (FACE["own_code"](code), code)
        OWN_CODE[<size_t><PyObject *>code] = known
    return known[0]


cdef list frames_here(Py_ssize_t most):
    """The innermost frames of this thread that are the user's, as frame objects."""
    cdef list frames = []
    cdef PyObject *frame = PyThreadState_GetFrame(PyThreadState_Get())
    cdef PyObject *raw
    while frame != NULL and len(frames) < most:
        this = <object>frame
        Py_DECREF(this) # PyThreadState_GetFrame and PyFrame_GetBack gave a reference; `this` has its own
        raw = PyFrame_GetCode(frame)
        code = <object>raw
        Py_DECREF(code)
        if not is_own(code):
            frames.append(this)
        frame = PyFrame_GetBack(<PyObject *>this)
    if frame != NULL:
        Py_DECREF(<object>frame)
    return frames


cdef uint32_t site_here(Attachment at) except? 0:
    """The site of the allocation that this thread is making; SM_SITE_NONE when no frame is the user's."""
    cdef uint32_t site = SM_SITE_NONE
    cdef PyObject *raw
    cdef list frames = frames_here(sm_tunable_get(at.a, SM_TU_SITE_FRAMES)), key = [], codes = []
    for frame in frames:
        raw = PyFrame_GetCode(<PyObject *>frame)
        codes.append(<object>raw)
        Py_DECREF(<object>raw)
        key.append(<size_t>raw)
        key.append(PyFrame_GetLasti(<PyObject *>frame))
    if not frames:
        return SM_SITE_NONE
    place = tuple(key)
    if at.sites is None:
        at.sites = {}
    known = at.sites.get(place)
    if known is not None:
        return known[0]
    cdef bytes text = (<str>FACE["site_text"](frames, SM_SITE_TEXT - 1)).encode("utf-8", "replace")
    cdef sm_err err = sm_site_intern(at.a, text, &site)
    if err != SM_OK:
        fail(at, err, {"subject": "arena"})
    if len(at.sites) >= SITES_KEPT:
        at.sites.clear()
    at.sites[place] = (site, codes)
    return site


cdef inline uint32_t trace_begin(Attachment at, uint32_t traced, bint many) except? 0xfffffffe:
    """Before a call of the core that allocates: says for whom, when the zone is traced and the turn of this allocation,
    or of one of many, has come. Returns what a_site was: the caller puts it back, for an allocation inside a ctor is
    inside another one."""
    cdef uint32_t was = at.a.a_site
    if unlikely(traced) and at.a.a_writable and (sm_tunable_get(at.a, SM_TU_SITES) > 0 if many else sm_site_due(at.a)):
        at.a.a_site = site_here(at)
    return was
