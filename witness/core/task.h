/* task.h - what a task of an event loop holds: tasks of one thread interleave, so each has a slot of its own for as long as
 * it holds something. Its slots are written by its process, one call at a time.
 */
#ifndef W_TASK_H
#define W_TASK_H

#include "check.h"
#include "thread.h"

/* A slot for the task of this number; NULL: this process has W_TASKS already, or the table is full. */
#define W_TASKS 128u
struct w_thread_shm *w_task_claim(struct w_block *b, uint32_t number, const char *name);
/* Gives it back. A slot that is not this process's (it was forked) is left alone. */
void w_task_free(struct w_block *b, struct w_thread_shm *slot);
/* The task is about to wait for the lock; slot: NULL while it holds nothing. flags: W_UNSURE: it may be free. */
void w_task_before(struct w_block *b, struct w_thread_shm *slot, uint32_t number, uint32_t class_id, uint64_t instance,
                   uint32_t flags, void *address);
/* The lock is the task's; flags: W_CONTENDED: it waited, which is a figure if it had a slot then. */
void w_task_acquired(struct w_block *b, struct w_thread_shm *slot, uint32_t class_id, uint64_t instance, uint32_t flags,
                     void *address);
void w_task_not_acquired(struct w_block *b, struct w_thread_shm *slot);
/* False: this task does not hold it. */
bool w_task_release(struct w_block *b, struct w_thread_shm *slot, uint32_t class_id, uint64_t instance);

#endif
