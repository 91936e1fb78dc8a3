/* contention.h - how much the locks of a class are fought over, in lock_stat's figures: contentions, waits, holds, and the
 * places that wait and that are waited for. Owns the figures and their reset. Takes the slow lock to reset; counting takes
 * none. After Linux's Documentation/locking/lockstat.rst.
 */
#ifndef W_CONTENTION_H
#define W_CONTENTION_H

#include "block.h"

/* A lock of the class was found taken, by a thread at the place of `stack`: counted, with both places. */
void w_contention_found(struct w_block *b, uint32_t class_id, uint64_t instance, uint32_t stack);
/* The wait that began then is over, with the lock taken. */
void w_contention_waited(struct w_block *b, uint32_t class_id, int64_t since_ns);
void w_contention_held(struct w_block *b, uint32_t class_id, int64_t since_ns);
/* All figures begin at zero again, while locks are taken and waited for. SM_STALLED: the slow lock's holder does not
 * answer, and nothing was changed. */
enum sm_err w_contention_reset(struct w_block *b);

struct w_point {
    uint32_t p_frame, p_count; /* 0: none */
};

/* Times in ns, over waits of locks that were found taken, and over holds while they were timed. */
struct w_contention {
    uint64_t g_acquires, g_contended;
    uint64_t g_waits, g_wait_min, g_wait_max, g_wait_total;
    uint64_t g_holds, g_hold_min, g_hold_max, g_hold_total;
    struct w_point g_point[W_SIDES][W_POINTS];
};
/* The figures since the last reset. */
void w_contention_read(const struct w_block *b, uint32_t class_id, struct w_contention *out);

#endif
