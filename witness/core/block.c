/* block.c - the life of a witness block: formatting, verification, this process's view, the slow lock. Takes the slow
 * lock; must not look at what is in the tables beyond their counts. Source: pthread_mutexattr_setrobust(3).
 *
 * Crash windows: before the magic is stored the memory is no block. The slow lock is robust; what its dead holder left
 * half done is derived data alone (W3, W4), which w_order_derive and w_class_derive make anew.
 */
#define _GNU_SOURCE
#include "block.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "class.h"
#include "order.h"
#include "stack.h"
#include "thread.h"

#define LOCK_WAIT_NS 200000000ll
#define FORM_WAIT_NS 1000000000ll

void (*w_crash_hook)(uint32_t step);

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t w_now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t w_wall_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}

static uint32_t slots_for(uint32_t entries) {
    uint32_t slots = 16;
    while (slots < entries * 2) {
        slots *= 2;
    }
    return slots;
}

static uint64_t lines(uint64_t bytes) {
    return (bytes + W_LINE - 1) & ~(uint64_t)(W_LINE - 1);
}

static struct w_geometry full(const struct w_geometry *asked) {
    struct w_geometry g = asked ? *asked : (struct w_geometry){0};
#define W_DEFAULT(field, value) g.field = g.field ? g.field : (value)
    W_DEFAULT(g_classes, 1024);
    W_DEFAULT(g_edges, 24576);
    W_DEFAULT(g_stacks, 16384);
    W_DEFAULT(g_frames, 8192);
    W_DEFAULT(g_reports, 512);
    W_DEFAULT(g_threads, 512);
    W_DEFAULT(g_processes, 256);
#undef W_DEFAULT
    return g;
}

static bool in_range(const struct w_geometry *g) {
    return g->g_classes <= W_MOST_CLASSES && g->g_edges <= W_MOST_EDGES && g->g_stacks <= W_MOST_STACKS &&
           g->g_frames <= 1u << 24 && g->g_reports <= 1u << 16 && g->g_threads <= 1u << 16 &&
           g->g_processes <= 1u << 16;
}

/* Points the tables of `b` into the memory; returns the bytes they take. */
static uint64_t place(struct w_block *b, uint8_t *mem, const struct w_geometry *g) {
    uint64_t off = sizeof(struct w_header);
    b->b_header = (struct w_header *)(void *)mem;
    b->b_max_classes = g->g_classes;
    b->b_max_edges = g->g_edges;
    b->b_max_stacks = g->g_stacks;
    b->b_max_frames = g->g_frames;
    b->b_max_reports = g->g_reports;
    b->b_max_threads = g->g_threads;
    b->b_max_processes = g->g_processes;
    b->b_class_slots = slots_for(g->g_classes);
    b->b_stack_slots = slots_for(g->g_stacks);
    b->b_frame_slots = slots_for(g->g_frames);
#define W_PLACE(field, count)                                                                                          \
    b->field = (void *)(mem + off);                                                                                    \
    off += lines((uint64_t)(count) * sizeof *b->field)
    W_PLACE(b_classes, g->g_classes);
    W_PLACE(b_contention, g->g_classes);
    W_PLACE(b_cells, (uint64_t)g->g_classes * g->g_classes);
    W_PLACE(b_edges, g->g_edges);
    W_PLACE(b_stacks, g->g_stacks);
    W_PLACE(b_frames, g->g_frames);
    W_PLACE(b_reports, g->g_reports);
    W_PLACE(b_threads, g->g_threads);
    W_PLACE(b_processes, g->g_processes);
    W_PLACE(b_class_index, b->b_class_slots);
    W_PLACE(b_stack_index, b->b_stack_slots);
    W_PLACE(b_frame_index, b->b_frame_slots);
    W_PLACE(b_pairs, W_PAIRS);
#undef W_PLACE
    return off;
}

uint64_t w_block_bytes(const struct w_geometry *asked) {
    struct w_geometry g = full(asked);
    struct w_block b;
    static uint8_t nowhere[1];
    return in_range(&g) ? place(&b, nowhere, &g) : 0;
}

static enum sm_err lock_format(struct w_header *h) {
    pthread_mutexattr_t attr;
    int rc = pthread_mutexattr_init(&attr);
    if (rc != 0) {
        return SM_OS;
    }
    if ((rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED)) == 0 &&
        (rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST)) == 0) {
        rc = pthread_mutex_init(&h->h_lock.m, &attr);
    }
    pthread_mutexattr_destroy(&attr);
    return rc == 0 ? SM_OK : SM_OS;
}

/* Of several processes that find the memory blank, one formats it; the others wait for it, or take over from the dead.
 * False: it is formatted, or whoever does it does not get on. */
static bool form_claim(struct w_header *h) {
    uint64_t mine = (uint64_t)getpid();
    for (int64_t start = w_now_ns(); w_now_ns() - start < FORM_WAIT_NS;) {
        uint64_t who = sm_load_acq(&h->h_former);
        if (sm_load_acq(&h->h_magic) == W_MAGIC) {
            return false;
        }
        if ((who == 0 || (kill((pid_t)who, 0) != 0 && errno == ESRCH)) && sm_cas(&h->h_former, &who, mine)) {
            return true;
        }
        sched_yield();
    }
    return false;
}

enum sm_err w_block_format(void *mem, uint64_t bytes, const struct w_geometry *asked, const char *entry) {
    struct w_geometry g = full(asked);
    struct w_header *h = mem;
    uint64_t need = w_block_bytes(&g);
    if (need == 0 || strlen(entry) >= W_ENTRY_BYTES) {
        return SM_INVALID;
    }
    if (need > bytes) {
        return SM_TRUNCATED;
    }
    if (!form_claim(h)) {
        return sm_load_acq(&h->h_magic) == W_MAGIC ? SM_OK : SM_STALLED;
    }
    enum sm_err err = lock_format(h);
    if (err != SM_OK) {
        return err;
    }
    h->h_version = W_VERSION;
    h->h_max_classes = g.g_classes;
    h->h_max_edges = g.g_edges;
    h->h_max_stacks = g.g_stacks;
    h->h_max_frames = g.g_frames;
    h->h_max_reports = g.g_reports;
    h->h_max_threads = g.g_threads;
    h->h_max_processes = g.g_processes;
    h->h_block_bytes = need;
    h->h_created_ns = w_wall_ns();
    h->h_watch = 1;
    h->h_classes = h->h_edges = h->h_stacks = h->h_frames = h->h_reports = h->h_blessed = 0;
    memset(h->h_entry, 0, sizeof h->h_entry);
    memcpy(h->h_entry, entry, strlen(entry));
    sm_store_rel(&h->h_magic, W_MAGIC); /* pairs with the load in w_block_verify */
    return SM_OK;
}

static struct w_geometry geometry_of(const struct w_header *h) {
    return (struct w_geometry){h->h_max_classes, h->h_max_edges,   h->h_max_stacks,   h->h_max_frames,
                               h->h_max_reports, h->h_max_threads, h->h_max_processes};
}

enum sm_err w_block_verify(const void *mem, uint64_t bytes) {
    const struct w_header *h = mem;
    if (bytes < sizeof *h) {
        return SM_TRUNCATED;
    }
    if (sm_load_acq(&h->h_magic) != W_MAGIC) {
        return SM_NOT_ARENA;
    }
    if (h->h_version != W_VERSION) {
        return SM_VERSION;
    }
    struct w_geometry g = geometry_of(h);
    if (!in_range(&g) || g.g_classes == 0 || g.g_edges == 0 || g.g_stacks == 0 || g.g_frames == 0 || g.g_reports == 0 ||
        g.g_threads == 0 || g.g_processes == 0 || h->h_block_bytes != w_block_bytes(&g)) {
        return SM_CORRUPT;
    }
    return h->h_block_bytes <= bytes ? SM_OK : SM_TRUNCATED;
}

static uint32_t pid_namespace(void) {
    struct stat s;
    return stat("/proc/self/ns/pid", &s) == 0 ? (uint32_t)s.st_ino : 0;
}

enum sm_err w_block_open(void *mem, uint64_t bytes, bool reader, struct w_block **out) {
    static uint64_t serials;
    enum sm_err err = w_block_verify(mem, bytes);
    if (err != SM_OK) {
        return err;
    }
    struct w_geometry g = geometry_of(mem);
    struct w_block *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return SM_NO_MEMORY;
    }
    (void)place(b, mem, &g);
    b->b_serial = 1 + sm_add_rlx(&serials, 1);
    b->b_namespace = pid_namespace();
    if (!reader) {
        b->b_scratch = calloc((size_t)g.g_classes * 6, sizeof *b->b_scratch);
        b->b_places = calloc(W_PLACES, sizeof *b->b_places);
        if (b->b_scratch == NULL || b->b_places == NULL || pthread_key_create(&b->b_key, w_thread_exit) != 0) {
            free(b->b_scratch);
            free(b->b_places);
            free(b);
            return SM_NO_MEMORY;
        }
        w_thread_enter(b);
    }
    *out = b;
    return SM_OK;
}

void w_block_close(struct w_block *b) {
    if (b == NULL) {
        return;
    }
    if (b->b_scratch != NULL) {
        w_thread_leave(b);
        pthread_key_delete(b->b_key);
        free(b->b_scratch);
        free(b->b_places);
    }
    free(b);
}

bool w_block_lock(struct w_block *b) {
    pthread_mutex_t *m = &b->b_header->h_lock.m;
    int rc = pthread_mutex_trylock(m);
    if (rc == EBUSY) {
#ifdef __SANITIZE_THREAD__ /* its runtime does not see pthread_mutex_clocklock take a lock */
        int64_t at = w_wall_ns() + LOCK_WAIT_NS;
        struct timespec deadline = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
        rc = pthread_mutex_timedlock(m, &deadline);
#else
        int64_t at = w_now_ns() + LOCK_WAIT_NS;
        struct timespec deadline = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
        rc = pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &deadline);
#endif
    }
    if (rc == EOWNERDEAD) {
        /* Derived before the mutex is made consistent: if we die in here too, the next one does it again. */
        w_class_derive(b);
        w_stack_derive(b);
        w_order_derive(b);
        pthread_mutex_consistent(m);
        rc = 0;
    }
    if (rc != 0) {
        (void)sm_add_rlx(&b->b_header->h_missed, 1);
        return false;
    }
    w_crash_point(W_STEP_LOCKED);
    return true;
}

void w_block_unlock(struct w_block *b) {
    w_crash_point(W_STEP_UNLOCKING);
    pthread_mutex_unlock(&b->b_header->h_lock.m);
}

void w_block_off(struct w_block *b, enum w_off_reason why) {
    if (b->b_header->h_off_reason == W_ON) {
        sm_store_rlx(&b->b_header->h_off_reason, why);
    }
    sm_store_rel(&b->b_header->h_watch, -1);
}
