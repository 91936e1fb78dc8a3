/* queue.h - bounded queues of items in shared memory, many producers and many consumers. What is in a queue belongs to
 * nobody: it survives the death of both ends. Lock-free while neither full nor empty; sleeps on futexes otherwise.
 * Takes the admin lock to create. After D. Vyukov's bounded MPMC queue, with every claim recoverable (reap).
 */
#ifndef SM_QUEUE_H
#define SM_QUEUE_H

#include "zone.h"

struct sm_queue; /* process-local handle */

/* SM_EXISTS: the name is taken. depth: the most items it holds, 1 .. 2^28. */
enum sm_err sm_queue_create(struct sm_arena *a, const char *name, uint64_t depth, struct sm_queue **out);
/* SM_NOT_FOUND; SM_MISMATCH when it has another depth. depth 0: any. */
enum sm_err sm_queue_open(struct sm_arena *a, const char *name, uint64_t depth, struct sm_queue **out);
void sm_queue_close(struct sm_queue *q);
enum sm_err sm_queue_destroy(struct sm_queue *q); /* SM_BUSY unless empty */
/* timeout_ns: 0 does not wait (SM_FULL, SM_EMPTY; also when the CPU that claimed the next place is stopped before it
 * finished, which hides what lies behind), negative waits for ever, else SM_TIMEOUT. The item must be held by this
 * CPU; afterwards it is the queue's. SM_GONE: the queue was destroyed, maybe while waiting. SM_DEAD_PEER: a process
 * died inside an operation on this queue (a_blocker) and recovery could not close the hole. SM_UNRESOLVED: the next
 * item's zone cannot be opened here; the item stays in the queue. */
enum sm_err sm_queue_put(struct sm_queue *q, struct sm_zone *z, void *item, int64_t timeout_ns);
enum sm_err sm_queue_get(struct sm_queue *q, int64_t timeout_ns, struct sm_zone **z, void **item);
/* As many as fit without waiting, at least one when the wait allows: *done counts, a prefix of items. When an item is
 * refused, those before it go in, and its refusal is returned. */
enum sm_err sm_queue_put_bulk(struct sm_queue *q, struct sm_zone *z, uint32_t n, void *const *items, int64_t timeout_ns,
                              uint32_t *done);
enum sm_err sm_queue_get_bulk(struct sm_queue *q, uint32_t n, int64_t timeout_ns, struct sm_zone **zones, void **items,
                              uint32_t *got);
uint64_t sm_queue_length(const struct sm_queue *q);
uint64_t sm_queue_depth(const struct sm_queue *q);
const struct sm_queue_shm *sm_queue_shared(const struct sm_queue *q);

/* Inside the core, world stopped: waiter counts from the records of the CPUs that are not dead; a queue that was dying
 * is gone (the pages of its ring are nobody's, whether they say RING or RESERVED). */
void sm_queue_recover(struct sm_arena *a, const bool *dead);

#endif
