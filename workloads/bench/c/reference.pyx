# cython: language_level=3
# reference.pyx - the least that any extension type can cost: a method that does nothing, and an object without a
# garbage-collector header, made and dropped.


cdef class Bare:
    """Two words of payload, as small as a useful handle gets."""

    cdef void *place
    cdef unsigned long long word

    def empty(self):
        """Does nothing."""
        return None

    def make(self):
        """A new object, as an allocating method returns one."""
        return Bare.__new__(Bare)
