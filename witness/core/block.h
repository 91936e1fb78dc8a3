/* block.h - a witness block as one process sees it: where its tables are, and its slow lock. Owns struct w_block, which
 * is process-local. Must not judge locks.
 */
#ifndef W_BLOCK_H
#define W_BLOCK_H

#include <stdbool.h>

#include "layout.h"
#include "shmalloc/core/base/atomic.h"
#include "shmalloc/core/base/err.h"

#define w_unlikely(x) __builtin_expect(!!(x), 0)

/* Entries of each table; 0 takes the default. */
struct w_geometry {
    uint32_t g_classes; /* 1024, at most W_MOST_CLASSES */
    uint32_t g_edges; /* 24576, at most W_MOST_EDGES */
    uint32_t g_stacks; /* 16384 */
    uint32_t g_frames; /* 8192 */
    uint32_t g_reports; /* 512 */
    uint32_t g_threads; /* 512 */
    uint32_t g_processes; /* 256 */
};

#define W_PENDING 16u
#define W_PLACES 8192u

struct w_block {
    struct w_header *b_header;
    struct w_class_shm *b_classes;
    struct w_contention_shm *b_contention; /* by class */
    uint32_t *b_cells; /* [row * max_classes + column] */
    struct w_edge_shm *b_edges; /* entry 0 is edge 1 */
    struct w_stack_shm *b_stacks; /* entry 0 is stack 1 */
    struct w_frame_shm *b_frames;
    struct w_report_shm *b_reports;
    struct w_thread_shm *b_threads;
    struct w_process_shm *b_processes;
    uint32_t *b_class_index, *b_stack_index, *b_frame_index; /* open addressing, id + 1 */
    struct w_pair_shm *b_pairs; /* W_PAIRS, in sets of W_WAYS */
    uint32_t b_class_slots, b_stack_slots, b_frame_slots; /* powers of two */
    uint32_t b_max_classes; /* a copy that no other process can change; likewise the following */
    uint32_t b_max_edges, b_max_stacks, b_max_frames, b_max_reports, b_max_threads, b_max_processes;
    uint64_t b_serial; /* tells apart the blocks that this process ever opened */
    uint32_t b_namespace; /* of this process's pids */
    pthread_key_t b_key; /* its destructor gives the thread's slot back */
    uint32_t *b_scratch; /* of the search for cycles; slow lock held */
    uint64_t *b_places; /* stacks by the place in the program, see held.c */
    uint32_t b_pending[W_PENDING], b_pendings; /* reports written where nobody could be told; (x) */
    /* The stack of the calling thread, 0 if it cannot be told now. No lock of this block is held. NULL: none. */
    uint32_t (*b_capture)(struct w_block *b, void *ctx, void *caller);
    /* A number that tells places in the program apart, cheaply; NULL: the return address is one. */
    uint64_t (*b_place)(struct w_block *b, void *ctx, void *caller);
    /* A report was written; no lock of this block is held. NULL: nobody is told. */
    void (*b_tell)(struct w_block *b, void *ctx, uint32_t report);
    /* The slot of the task that the calling thread runs now, NULL: none. Asked only while b_tasks is not 0. */
    struct w_thread_shm *(*b_task)(struct w_block *b, void *ctx);
    /* Whether this process still holds this lock of a W_FILE class. NULL: yes. */
    bool (*b_alive)(struct w_block *b, void *ctx, uint32_t class_id, uint64_t instance);
    void *b_ctx;
    bool b_paused; /* this process learns no order and reports nothing; what it holds is known all the same */
    uint32_t b_tasks; /* slots of this process's tasks; (x) */
};

/* Bytes that a block of this geometry takes; 0: out of range. */
uint64_t w_block_bytes(const struct w_geometry *g);
/* Formats zeroed memory; entry: what h_entry is to say. The memory is published by the last store. */
enum sm_err w_block_format(void *mem, uint64_t bytes, const struct w_geometry *g, const char *entry);
/* Looks whether the memory is a whole block of this version: SM_NOT_ARENA, SM_VERSION, SM_TRUNCATED, SM_CORRUPT. */
enum sm_err w_block_verify(const void *mem, uint64_t bytes);
/* Verifies, and makes this process's view. The memory must outlive it. `reader`: never written, no thread slots. */
enum sm_err w_block_open(void *mem, uint64_t bytes, bool reader, struct w_block **out);
/* Gives back this process's thread slots; locks that its threads hold are told of. */
void w_block_close(struct w_block *b);

/* The slow lock. False: its holder did not answer in time; the caller gives up what it wanted to learn. A dead holder's
 * half-done work is made good first. */
bool w_block_lock(struct w_block *b);
void w_block_unlock(struct w_block *b);
/* Switches off for good. Slow lock held. */
void w_block_off(struct w_block *b, enum w_off_reason why);

int64_t w_now_ns(void); /* CLOCK_MONOTONIC */
int64_t w_wall_ns(void); /* CLOCK_REALTIME */

static inline uint32_t *w_cell(const struct w_block *b, uint32_t row, uint32_t column) {
    return &b->b_cells[(uint64_t)row * b->b_max_classes + column];
}

/* A place between two steps where a test may kill this process; NULL outside of tests. */
extern void (*w_crash_hook)(uint32_t step);
static inline void w_crash_point(uint32_t step) {
    if (w_unlikely(w_crash_hook != NULL)) {
        w_crash_hook(step);
    }
}
enum w_step {
    W_STEP_LOCKED = 1,
    W_STEP_CLASS_FILLED,
    W_STEP_CLASS_PUBLISHED,
    W_STEP_FRAME_FILLED,
    W_STEP_FRAME_PUBLISHED,
    W_STEP_STACK_FILLED,
    W_STEP_STACK_PUBLISHED,
    W_STEP_EDGE_FILLED,
    W_STEP_EDGE_PUBLISHED,
    W_STEP_EDGE_NAMED,
    W_STEP_ADOPTING,
    W_STEP_PAIR_FILLED,
    W_STEP_REPORT_FILLED,
    W_STEP_UNLOCKING,
    W_STEP_CONTENDED,
    W_STEP_MEASURED,
    W_STEP_RESETTING,
    W_STEP_RESET,
    W_STEP_END
};

#endif
