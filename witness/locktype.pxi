# The interpreter's own lock types, told to report. The methods of `_thread.lock` and `_thread.RLock` are exchanged for
# ones that call the former ones and say what happened, so a watched lock is an object of the interpreter's own type: its
# type, repr, pickling and errors are not imitated but the same. A lock that nobody watches pays one look into the table.
# Rejected: a type that stands for the lock's (`type(lock)` tells), and a wrapper in Python (slow). Argument lists are the
# interpreter's to judge: whatever is not plain is handed on as it came.

import _thread

cdef object allocate_lock = _thread.allocate_lock

cdef extern from "Python.h":
    ctypedef struct PyTypeObject
    ctypedef object (*newfunc)(PyTypeObject *, PyObject *, PyObject *)
    ctypedef struct PyTypeObject:
        PyObject *tp_dict
        void (*tp_dealloc)(PyObject *) noexcept
        newfunc tp_new
    ctypedef PyObject *(*PyCFunction)(PyObject *, PyObject *)
    ctypedef struct PyMethodDef:
        const char *ml_name
        PyCFunction ml_meth
        int ml_flags
        const char *ml_doc
    ctypedef struct PyMethodDescrObject:
        PyMethodDef *d_method
    PyTypeObject PyMethodDescr_Type
    int METH_NOARGS, METH_FASTCALL, METH_KEYWORDS, METH_VARARGS
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    PyTypeObject *Py_TYPE(PyObject *o)
    PyObject *Py_True
    PyObject *Py_False
    object PyDescr_NewMethod(PyTypeObject *type, PyMethodDef *method)
    object PyCFunction_NewEx(PyMethodDef *method, PyObject *self, PyObject *module)
    void PyType_Modified(PyTypeObject *type)
    object vectorcall "PyObject_Vectorcall"(PyObject *call, PyObject **args, size_t nargsf, PyObject *names)
    bint PyObject_IsTrue(PyObject *o) except -1
    long PyLong_AsLong(PyObject *o) except? -1
    bint PyFloat_Check(PyObject *o)
    bint PyLong_Check(PyObject *o)
    double PyFloat_AsDouble(PyObject *o) except? -1.0
    Py_ssize_t PyTuple_GET_SIZE(PyObject *o)
    PyObject *PyTuple_GET_ITEM(PyObject *o, Py_ssize_t at)
    int PyUnicode_CompareWithASCIIString(PyObject *o, const char *text)

ctypedef object (*keywords_call)(PyObject *self, PyObject *args, PyObject *names)
ctypedef object (*plain_call)(PyObject *self, PyObject *args)

cdef enum:
    MOST_METHODS = 16
    MOST_ARGS = 3 # what these methods take; more are an error that the method tells

cdef struct lock_type:
    PyTypeObject *type
    void (*dealloc)(PyObject *) noexcept
    PyObject *acquire # the former methods
    PyObject *enter
    PyObject *release
    PyObject *leave
    PyObject *reinit
    PyObject *save
    PyObject *restore
    PyMethodDef methods[MOST_METHODS]

cdef lock_type plain_type, reentrant_type
cdef newfunc former_new = NULL
cdef object former_methods = [] # keeps them
cdef object just_try = (False,)
cdef double longest_wait = _thread.TIMEOUT_MAX
cdef object asked_class = None # of a lock that threading.Lock makes: its class's number and the Watch, or None
cdef PyMethodDef lock_maker


cdef inline object call_bare(PyObject *method, PyObject *self):
    """A former method, without arguments."""
    cdef PyObject *stack[2]
    cdef PyMethodDef *how = (<PyMethodDescrObject *>method).d_method
    if how.ml_flags == METH_NOARGS:
        return (<plain_call>how.ml_meth)(self, NULL)
    stack[1] = self
    return vectorcall(method, stack + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)


cdef inline object call_try(PyObject *method, PyObject *self):
    """A former acquire, with blocking=False."""
    cdef PyObject *stack[3]
    cdef PyMethodDef *how = (<PyMethodDescrObject *>method).d_method
    if how.ml_flags == METH_VARARGS | METH_KEYWORDS:
        return (<keywords_call>how.ml_meth)(self, <PyObject *>just_try, NULL)
    stack[1] = self
    stack[2] = Py_False
    return vectorcall(method, stack + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)


cdef object call_as_it_came(PyObject *method, PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef PyObject *few[MOST_ARGS + 2]
    cdef PyObject **stack = few
    cdef Py_ssize_t i, total = nargs + (0 if names == NULL else PyTuple_GET_SIZE(names))
    if total > MOST_ARGS:
        stack = <PyObject **>calloc(<size_t>total + 2, sizeof(PyObject *))
        if stack == NULL:
            raise MemoryError
    stack[1] = self
    for i in range(total):
        stack[i + 2] = args[i]
    try:
        return vectorcall(method, stack + 1, <size_t>(nargs + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, names)
    finally:
        if stack != few:
            free(stack)


cdef enum how_long:
    FOR_EVER, NOT_AT_ALL, A_TIME, AS_IT_CAME


cdef how_long wait_asked(PyObject **args, Py_ssize_t nargs, PyObject *names) except? AS_IT_CAME:
    """What acquire(blocking=True, timeout=-1) was asked for; AS_IT_CAME: nothing that it takes."""
    cdef PyObject *blocking = Py_True
    cdef PyObject *timeout = NULL
    cdef PyObject *name
    cdef Py_ssize_t i
    cdef double seconds
    if nargs > 2:
        return AS_IT_CAME
    if nargs > 0:
        blocking = args[0]
    if nargs > 1:
        timeout = args[1]
    for i in range(0 if names == NULL else PyTuple_GET_SIZE(names)):
        name = PyTuple_GET_ITEM(names, i)
        if nargs < 1 and PyUnicode_CompareWithASCIIString(name, "blocking") == 0:
            blocking = args[nargs + i]
        elif nargs < 2 and PyUnicode_CompareWithASCIIString(name, "timeout") == 0:
            timeout = args[nargs + i]
        else:
            return AS_IT_CAME
    if blocking != Py_True and blocking != Py_False:
        if not PyLong_Check(blocking):
            return AS_IT_CAME
        try:
            if not 0 <= PyLong_AsLong(blocking) <= 1:
                return AS_IT_CAME
        except OverflowError:
            return AS_IT_CAME
    if timeout != NULL:
        if not (PyFloat_Check(timeout) or PyLong_Check(timeout)):
            return AS_IT_CAME
        try:
            seconds = PyFloat_AsDouble(timeout)
        except OverflowError:
            return AS_IT_CAME
        if seconds != -1:
            return A_TIME if 0 < seconds <= longest_wait and PyObject_IsTrue(blocking) else AS_IT_CAME
    return FOR_EVER if PyObject_IsTrue(blocking) else NOT_AT_ALL


cdef object acquire_watched(PyObject *method, watched_lock *entry, PyObject **args, Py_ssize_t nargs, PyObject *names):
    """A former acquire of a watched lock. A lock that is free is taken without telling that it was waited for; the order
    is checked in any case."""
    cdef PyObject *self = entry.lock
    cdef how_long wait = FOR_EVER if nargs == 0 and names == NULL else wait_asked(args, nargs, names)
    cdef bint told
    if wait == AS_IT_CAME:
        got = call_as_it_came(method, self, args, nargs, names)
    else:
        got = call_try(method, self)
    if got is True:
        watched_entered(watched_find(self), W_TRY if wait == NOT_AT_ALL or wait == AS_IT_CAME else 0)
        return got
    if wait == NOT_AT_ALL or wait == AS_IT_CAME:
        return got
    told = watched_wait(watched_find(self), wait == A_TIME, False)
    try:
        got = call_as_it_came(method, self, args, nargs, names)
    except BaseException: # a signal's handler raised
        if told:
            watched_waited(watched_find(self))
        raise
    if got is True:
        watched_entered(watched_find(self), W_CONTENDED)
    elif told:
        watched_waited(watched_find(self))
    return got


cdef object release_watched(PyObject *method, PyObject *self):
    done = call_bare(method, self)
    cdef watched_lock *entry = watched_find(self)
    if entry != NULL:
        watched_left(entry, entry.owner)
    return done


cdef object reinit_watched(PyObject *method, PyObject *self):
    done = call_bare(method, self)
    cdef watched_lock *entry = watched_find(self)
    if entry != NULL:
        watched_drop(entry)
    return done


# ------------------------------------------------------------ methods of _thread.lock


cdef object lock_acquire(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef watched_lock *entry = watched_find(self)
    if entry == NULL:
        return call_as_it_came(plain_type.acquire, self, args, nargs, names)
    return acquire_watched(plain_type.acquire, entry, args, nargs, names)


cdef object lock_enter(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef watched_lock *entry = watched_find(self)
    if entry == NULL:
        return call_as_it_came(plain_type.enter, self, args, nargs, names)
    return acquire_watched(plain_type.enter, entry, args, nargs, names)


cdef object lock_release(PyObject *self, PyObject *unused):
    return release_watched(plain_type.release, self)


cdef object lock_leave(PyObject *self, PyObject **args, Py_ssize_t nargs):
    return release_watched(plain_type.release, self)


cdef object lock_reinit(PyObject *self, PyObject *unused):
    return reinit_watched(plain_type.reinit, self)


cdef void lock_dealloc(PyObject *self) noexcept:
    cdef watched_lock *entry = watched_find(self)
    if entry != NULL:
        watched_forget(entry)
    plain_type.dealloc(self)


# ------------------------------------------------------------ methods of _thread.RLock


cdef object rlock_acquire(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef watched_lock *entry = watched_find(self)
    if entry == NULL:
        return call_as_it_came(reentrant_type.acquire, self, args, nargs, names)
    return acquire_watched(reentrant_type.acquire, entry, args, nargs, names)


cdef object rlock_enter(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef watched_lock *entry = watched_find(self)
    if entry == NULL:
        return call_as_it_came(reentrant_type.enter, self, args, nargs, names)
    return acquire_watched(reentrant_type.enter, entry, args, nargs, names)


cdef object rlock_release(PyObject *self, PyObject *unused):
    return release_watched(reentrant_type.release, self)


cdef object rlock_leave(PyObject *self, PyObject **args, Py_ssize_t nargs):
    return release_watched(reentrant_type.release, self)


cdef object rlock_reinit(PyObject *self, PyObject *unused):
    return reinit_watched(reentrant_type.reinit, self)


cdef object rlock_save(PyObject *self, PyObject *unused):
    state = call_bare(reentrant_type.save, self)
    cdef watched_lock *entry = watched_find(self)
    if entry != NULL:
        for _ in range(state[0]):
            watched_left(entry, entry.owner)
    return state


cdef object rlock_restore(PyObject *self, PyObject **args, Py_ssize_t nargs):
    cdef watched_lock *entry = watched_find(self)
    cdef bint told = entry != NULL and watched_wait(entry, False, True)
    try:
        done = call_as_it_came(reentrant_type.restore, self, args, nargs, NULL)
    except BaseException: # arguments that it does not take
        if told:
            watched_waited(watched_find(self))
        raise
    if entry != NULL:
        for _ in range((<object>args[0])[0]):
            watched_entered(watched_find(self), 0)
    return done


cdef void rlock_dealloc(PyObject *self) noexcept:
    cdef watched_lock *entry = watched_find(self)
    if entry != NULL:
        watched_forget(entry)
    reentrant_type.dealloc(self)


# ------------------------------------------------------------ the exchange


cdef PyObject *exchange(lock_type *t, int at, object name, void *function, int how) except? NULL:
    """Put the function in the place of the type's method of that name; returns the former one, NULL if there is none."""
    cdef object names = <object>t.type.tp_dict
    former = names.get(name)
    if former is None:
        return NULL
    if Py_TYPE(<PyObject *>former) != &PyMethodDescr_Type:
        raise TypeError(f"{name} of the interpreter's lock is no method: this interpreter is not known")
    former_methods.append(former)
    t.methods[at].ml_name = (<PyMethodDescrObject *><PyObject *>former).d_method.ml_name
    t.methods[at].ml_doc = (<PyMethodDescrObject *><PyObject *>former).d_method.ml_doc
    t.methods[at].ml_meth = <PyCFunction>function
    t.methods[at].ml_flags = how
    names[name] = PyDescr_NewMethod(t.type, &t.methods[at])
    return <PyObject *>former


cdef int exchange_all(lock_type *t, void *acquire, void *enter, void *release, void *leave, void *reinit) except -1:
    cdef int fast = METH_FASTCALL | METH_KEYWORDS
    t.acquire = exchange(t, 0, "acquire", acquire, fast)
    t.enter = exchange(t, 1, "__enter__", enter, fast)
    t.release = exchange(t, 2, "release", release, METH_NOARGS)
    t.leave = exchange(t, 3, "__exit__", leave, METH_FASTCALL)
    t.reinit = exchange(t, 4, "_at_fork_reinit", reinit, METH_NOARGS)
    if t.acquire == NULL or t.enter == NULL or t.release == NULL or t.leave == NULL:
        raise TypeError("the interpreter's lock has not the methods of a lock: this interpreter is not known")
    return 0


cdef int exchange_methods() except -1:
    """Once for the process."""
    if plain_type.type != NULL:
        return 0
    plain_type.type = <PyTypeObject *><PyObject *>_thread.LockType
    reentrant_type.type = <PyTypeObject *><PyObject *>_thread.RLock
    exchange_all(&plain_type, <void *>lock_acquire, <void *>lock_enter, <void *>lock_release, <void *>lock_leave,
                 <void *>lock_reinit)
    exchange(&plain_type, 5, "acquire_lock", <void *>lock_acquire, METH_FASTCALL | METH_KEYWORDS)
    exchange(&plain_type, 6, "release_lock", <void *>lock_release, METH_NOARGS)
    exchange_all(&reentrant_type, <void *>rlock_acquire, <void *>rlock_enter, <void *>rlock_release, <void *>rlock_leave,
                 <void *>rlock_reinit)
    reentrant_type.save = exchange(&reentrant_type, 5, "_release_save", <void *>rlock_save, METH_NOARGS)
    reentrant_type.restore = exchange(&reentrant_type, 6, "_acquire_restore", <void *>rlock_restore, METH_FASTCALL)
    plain_type.dealloc = plain_type.type.tp_dealloc
    plain_type.type.tp_dealloc = lock_dealloc
    reentrant_type.dealloc = reentrant_type.type.tp_dealloc
    reentrant_type.type.tp_dealloc = rlock_dealloc
    PyType_Modified(plain_type.type)
    PyType_Modified(reentrant_type.type)
    return 0


def watch_lock(lock not None, Watch watch not None, uint32_t c):
    """Watch a lock of the interpreter, which is free, as one of the class, from now on; returns it.

    Raises: TypeError: it is neither a `_thread.lock` nor a `_thread.RLock`.
    """
    cdef PyObject *raw = <PyObject *>lock
    exchange_methods()
    if not isinstance(lock, (_thread.LockType, _thread.RLock)):
        raise TypeError(f"{type(lock).__name__} is no lock of the interpreter's")
    if watch.b == NULL:
        return lock # the block was left: nothing is told of any more
    if c >= watch.b.b_max_classes:
        raise IndexError(c)
    if watched_find(raw) == NULL:
        watched_enter(raw, watch, c, isinstance(lock, _thread.RLock))
    return lock


cdef object chosen(object lock):
    found = asked_class()
    if found is not None:
        watch_lock(lock, found[0], found[1])
    return lock


cdef object make_lock(PyObject *unused, PyObject **args, Py_ssize_t nargs, PyObject *names):
    return chosen(vectorcall(<PyObject *>allocate_lock, args, <size_t>nargs, names))


cdef object lock_new(PyTypeObject *type, PyObject *args, PyObject *names):
    return chosen(former_new(type, args, names))


def watch_made(classes not None):
    """Watch what `threading.Lock` makes from now on. classes(): the Watch and the class's number of the lock that is
    being made, or None. Returns what must stand for `threading.Lock`: where that is a type, it is the same."""
    global asked_class, former_new
    import threading
    exchange_methods()
    asked_class = classes
    if threading.Lock is _thread.LockType:
        if former_new == NULL:
            former_new = plain_type.type.tp_new
            plain_type.type.tp_new = lock_new
        return threading.Lock
    lock_maker.ml_name = b"Lock"
    lock_maker.ml_meth = <PyCFunction>make_lock
    lock_maker.ml_flags = METH_FASTCALL | METH_KEYWORDS
    lock_maker.ml_doc = b"Lock()\n--\n\nCreate a new lock object, which is watched."
    name = threading.__name__
    return PyCFunction_NewEx(&lock_maker, NULL, <PyObject *>name)
