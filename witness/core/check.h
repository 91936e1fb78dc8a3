/* check.h - what a watched lock says, and what the witness makes of it. Owns the rules. Takes the slow lock only for an
 * order that nobody has seen yet, and for reports.
 */
#ifndef W_CHECK_H
#define W_CHECK_H

#include "block.h"

#define W_TRY 1u /* the caller does not wait: the order is not checked */
#define W_QUIET 2u /* do not capture a stack: the caller may not run foreign code now */
#define W_CONTENDED 4u /* it was found taken, and w_before_acquire was not told */
#define W_UNSURE 8u /* of w_before_acquire: it may be free, so this is no contention and no wait to be measured */

/* The order of taking this lock now, before it is waited for; and where the thread is then told to wait. A lock found
 * taken, unless W_UNSURE: contention.h counts it. */
void w_before_acquire(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, uint32_t flags,
                      void *address);
/* The lock is ours: checks the order unless w_before_acquire did, and enters it among what the thread holds. */
void w_acquired(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, uint32_t flags,
                void *address);
/* The order of taking this lock now, after what the thread holds and what the task that it runs does. Returns the stack
 * if it was taken. */
uint32_t w_order_now(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, void *address);
/* The wait is over without the lock. */
void w_not_acquired(struct w_block *b, uint32_t class_id, uint64_t instance);
/* Given back. Not held by this thread: taken from another of this process that holds it; `must`: told of if nobody does.
 * False: nobody does. */
bool w_release(struct w_block *b, uint32_t class_id, uint64_t instance, bool must, void *address);
/* The thread would wait for itself. */
void w_recursion(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, void *address);
void w_upgrade(struct w_block *b, uint32_t class_id, uint64_t instance, void *address);
void w_downgrade(struct w_block *b, uint32_t class_id, uint64_t instance, void *address);
/* The lock was destroyed: a thread of this process that holds it is told of. */
void w_lock_destroyed(struct w_block *b, uint32_t class_id, uint64_t instance, void *address);
void w_lock_created(struct w_block *b, uint32_t class_id, uint64_t instance);
/* Something that may sleep, in `zone` or NULL; forced: it will not, because of us. Returns how many non-sleepable locks
 * the thread holds, and tells of them. */
uint32_t w_may_sleep(struct w_block *b, const char *what, const char *zone, bool forced, void *address);
/* first must be taken before second, from now on. SM_DEADLOCK: the contrary is known. */
enum sm_err w_declare(struct w_block *b, uint32_t first, uint32_t second);
enum sm_err w_bless(struct w_block *b, uint32_t first, uint32_t second);

#endif
