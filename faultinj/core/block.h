/* block.h - a fault block as one process sees it. Owns struct fi_block, which is process-local. Must not decide anything.
 */
#ifndef FI_BLOCK_H
#define FI_BLOCK_H

#include <stdbool.h>
#include <string.h>

#include "layout.h"
#include "shmalloc/core/base/atomic.h"
#include "shmalloc/core/base/err.h"
#include "shmalloc/core/hooks.h"

#define FI_POINT_CRASH ((uint32_t)SM_FP_COUNT) /* "crash.step", which every crash point of the core reaches */
#define FI_CORE_POINTS (FI_POINT_CRASH + 1u)

/* Entries of each table; 0 takes the default. */
struct fi_geometry {
    uint32_t g_points; /* 256, at most FI_MOST_POINTS */
    uint32_t g_slots; /* 128 programs */
    uint32_t g_log; /* 1024 */
    uint32_t g_pauses; /* 64 */
};

struct fi_block {
    struct fi_header *b_header;
    struct fi_point_shm *b_points;
    struct fi_slot_shm *b_slots;
    struct fi_log_shm *b_log;
    struct fi_pause_shm *b_pauses;
    uint32_t b_max_points, b_max_slots, b_max_log, b_max_pauses; /* copies that no other process can change */
    /* Whether a frame of the calling thread's stack matches FILE:FUNCTION, NUL-terminated. NULL: none does. Must run no
     * foreign code: the core's locks may be held. */
    bool (*b_on_stack)(void *ctx, const char *pattern);
    void *b_ctx;
};

/* Bytes that a block of this geometry takes; 0: out of range. */
uint64_t fi_block_bytes(const struct fi_geometry *g);
/* Formats zeroed memory; of several that try at once one does, the others wait for it. Memory that is a block already is
 * left as it is. entry: what h_entry is to say. SM_TRUNCATED, SM_INVALID, SM_STALLED. */
enum sm_err fi_block_format(void *mem, uint64_t bytes, const struct fi_geometry *g, const char *entry);
/* Points *b into the memory. SM_NOT_ARENA: no block; SM_VERSION: of another version, or another catalogue of points;
 * SM_TRUNCATED, SM_CORRUPT. */
enum sm_err fi_block_open(void *mem, uint64_t bytes, struct fi_block *b);
/* Counters, log and sweep to zero; random numbers start anew; programs stay, with their counts. For when nobody reaches a
 * point: who does meanwhile is counted before or after. */
void fi_block_reset(struct fi_block *b);
/* Random numbers follow from this seed, and begin anew at every point. */
void fi_block_seed(struct fi_block *b, uint64_t seed);

int64_t fi_wall_ns(void);
/* Whether no such process is left; one of another pid namespace looks dead. */
bool fi_pid_gone(uint32_t pid);

/* Between two stores of a setter, where a test may kill it; NULL otherwise. */
extern void (*fi_crash_hook)(uint32_t step);
enum {
    FI_STEP_CLAIMED = 1,
    FI_STEP_WRITTEN,
    FI_STEP_PUBLISHED,
    FI_STEP_SETTLED,
    FI_STEP_POINT_CLAIMED,
    FI_STEP_POINT_NAMED,
    FI_STEP_POINT_READY,
    FI_STEP_LOG_BEGUN,
    FI_STEP_LOG_WRITTEN
};
static inline void fi_crash_point(uint32_t step) {
    if (sm_unlikely(fi_crash_hook != NULL)) {
        fi_crash_hook(step);
    }
}

/* Copies with atomic loads and stores of words: one side may be written meanwhile, and is then thrown away. Acquire
 * loads, so that a check made after them is made after them. Release stores, which pair with them: who reads one word of
 * what is written into a slot anew, sees also that p_live named that slot no more (and that the stamp of a log entry was
 * cleared), and throws all of it away. bytes: a multiple of 8. */
static inline void fi_words_load(void *to, const void *from, size_t bytes) {
    uint8_t *out = to;
    const uint64_t *in = from;
    for (size_t i = 0; i < bytes / 8; i++) {
        uint64_t word = sm_load_acq(&in[i]);
        memcpy(out + 8 * i, &word, 8);
    }
}

static inline void fi_words_store(void *to, const void *from, size_t bytes) {
    uint64_t *out = to;
    const uint8_t *in = from;
    for (size_t i = 0; i < bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, in + 8 * i, 8);
        sm_store_rel(&out[i], word);
    }
}

#endif
