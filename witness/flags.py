"""Numbers of the online part: modes of holding, rules of a class, flags of a call.

Owns none of them: they are those of ``witness/core/layout.h`` and ``check.h``.
"""

EXCLUSIVE, SHARED, SHARED_RECURSIVE = 0, 1, 2
"""How a lock is held. A SHARED reader waits behind waiting writers, a SHARED_RECURSIVE one never does."""

SLEEPABLE, RECURSABLE, DUPOK, SPIN, CORE, NORELEASE, MANY, SIGNAL, PRIVATE = 1, 2, 4, 8, 16, 32, 64, 128, 256
PAIRED, FILE = 512, 1024
"""Rules of a class: its holder may sleep; may take it again; may hold two of the class; must not sleep at all; it is
the allocator's own; must not be given back. MANY and SIGNAL are found out: more than one lock of the class was seen;
one was given back by another thread than took it, so it has no order. PRIVATE: it goes with its process. PAIRED: its
instances' numbers are never given out again, so that the order inside of the class is kept. FILE: the kernel gives it
back."""

TRY, QUIET, CONTENDED, UNSURE = 1, 2, 4, 8
"""Of a call: it does not wait, so the order is not checked; no stack may be taken now; the lock was found taken,
and no before() said so; before() of a lock that may be free, so that it is no contention and no wait to be measured."""

DECLARED, REVERSED = 2, 4
"""Of an edge: a table says so; it is against the order."""

FILE_KIND = "foreign:file"
"""The kind of the classes that have FILE, in records."""

TASK = 0x80000000
"""In a thread's number: it is a task of an event loop, and the rest its number in the process."""
