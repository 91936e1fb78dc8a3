/* err.h - every way a call into the core can fail, one code per cause.
 * Owns the codes and their names; must not know an errno (base/os.c translates those).
 */
#ifndef SM_BASE_ERR_H
#define SM_BASE_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(code, text): the text completes the sentence "shmalloc: ...". Append only; numbers are ABI. */
#define SM_ERRORS(X)                                                                                                   \
    X(SM_OK, "no error")                                                                                               \
    X(SM_INVALID, "an argument is out of its range")                                                                   \
    X(SM_NO_MEMORY, "the arena or /dev/shm has no page left")                                                          \
    X(SM_LIMIT, "the zone is at its limit and nothing was freed in time")                                              \
    X(SM_TIMEOUT, "the time allowed has passed")                                                                       \
    X(SM_INTERRUPTED, "a signal handler asked to stop waiting")                                                        \
    X(SM_NOT_FOUND, "no such object")                                                                                  \
    X(SM_EXISTS, "the name is taken")                                                                                  \
    X(SM_MISMATCH, "the name is taken with other parameters")                                                          \
    X(SM_NAME_TOO_LONG, "the name is longer than the format allows")                                                   \
    X(SM_TABLE_FULL, "the arena's table for this kind of object is full")                                              \
    X(SM_NO_CPU, "every CPU slot of the arena is taken by a live process")                                             \
    X(SM_NOT_OURS, "the address or handle does not belong to this zone")                                               \
    X(SM_MISALIGNED, "the address points into an item, not at its start")                                              \
    X(SM_DOUBLE_FREE, "the item is already free")                                                                      \
    X(SM_STALE, "the handle is of an earlier life of the item")                                                        \
    X(SM_NOT_OWNER, "another CPU holds the item")                                                                      \
    X(SM_IN_CALLBACK, "the item is inside its ctor, dtor, init or fini")                                               \
    X(SM_CTOR_FAILED, "the ctor refused the item")                                                                     \
    X(SM_INIT_FAILED, "the init refused the item")                                                                     \
    X(SM_BUSY, "the object still has live items or users")                                                             \
    X(SM_GONE, "the object was destroyed by another process")                                                          \
    X(SM_CLOSED, "this attachment is closed")                                                                          \
    X(SM_FORKED, "the item was inherited through fork and belongs to the parent")                                      \
    X(SM_STALLED, "a live process holds a lock or an operation open for too long")                                     \
    X(SM_NOT_ARENA, "the object is not an arena")                                                                      \
    X(SM_TRUNCATED, "the object is shorter than its header says")                                                      \
    X(SM_CORRUPT, "the header or a table is damaged")                                                                  \
    X(SM_VERSION, "the object has another layout version")                                                             \
    X(SM_HALF_MADE, "the process that was creating the arena died before it was ready")                                \
    X(SM_PERMISSION, "the operating system refused access")                                                            \
    X(SM_UNSUPPORTED, "this machine or this build cannot do that")                                                     \
    X(SM_OS, "the operating system reported an error")                                                                 \
    X(SM_READ_ONLY, "this attachment is read-only")                                                                    \
    X(SM_FULL, "the queue is full")                                                                                    \
    X(SM_EMPTY, "the queue is empty")                                                                                  \
    X(SM_MODIFIED, "memory was modified after free, or beyond the item's end")                                         \
    X(SM_UNRESOLVED, "a callback named in the zone cannot be found in this process")                                   \
    X(SM_DEAD_PEER, "a dead process has to be reaped first")                                                           \
    X(SM_OWNER_DIED, "the lock is held now, but a former holder died holding it")                                      \
    X(SM_DEADLOCK, "the caller holds this lock already and would wait for itself")

enum sm_err {
#define SM_ERR_ENUM(code, text) code,
    SM_ERRORS(SM_ERR_ENUM)
#undef SM_ERR_ENUM
        SM_ERR_COUNT
};

/* The code's own name ("SM_LIMIT") and its sentence; both are static. */
const char *sm_err_name(enum sm_err e);
const char *sm_err_text(enum sm_err e);

#ifdef __cplusplus
}
#endif
#endif
