/* block.c - the life of a fault block: formatting, verification, reset. Takes no lock; must not look into programs.
 *
 * Crash windows: before the magic is stored the memory is no block, and the next one to format it begins again.
 */
#define _GNU_SOURCE
#include "block.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FORM_WAIT_NS 2000000000ll

void (*fi_crash_hook)(uint32_t step);

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t fi_wall_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}

bool fi_pid_gone(uint32_t pid) {
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static struct fi_geometry full(const struct fi_geometry *asked) {
    struct fi_geometry g = asked ? *asked : (struct fi_geometry){0};
    g.g_points = g.g_points ? g.g_points : 256;
    g.g_slots = g.g_slots ? g.g_slots : 128;
    g.g_log = g.g_log ? g.g_log : 1024;
    g.g_pauses = g.g_pauses ? g.g_pauses : 64;
    return g;
}

static bool in_range(const struct fi_geometry *g) {
    return g->g_points >= FI_CORE_POINTS && g->g_points <= FI_MOST_POINTS && g->g_slots >= 1 &&
           g->g_slots <= FI_MOST_SLOTS && g->g_log >= 1 && g->g_log <= FI_MOST_LOG && g->g_pauses >= 1 &&
           g->g_pauses <= FI_MOST_PAUSES;
}

static uint64_t lines(uint64_t bytes) {
    return (bytes + FI_LINE - 1) & ~(uint64_t)(FI_LINE - 1);
}

/* Where each table begins, and the bytes of all. */
struct places {
    uint64_t points, slots, log, pauses, end;
};

static struct places places_of(const struct fi_geometry *g) {
    struct places p = {.points = sizeof(struct fi_header)};
    p.slots = p.points + lines((uint64_t)g->g_points * sizeof(struct fi_point_shm));
    p.log = p.slots + lines((uint64_t)g->g_slots * sizeof(struct fi_slot_shm));
    p.pauses = p.log + lines((uint64_t)g->g_log * sizeof(struct fi_log_shm));
    p.end = p.pauses + lines((uint64_t)g->g_pauses * sizeof(struct fi_pause_shm));
    return p;
}

uint64_t fi_block_bytes(const struct fi_geometry *asked) {
    struct fi_geometry g = full(asked);
    return in_range(&g) ? places_of(&g).end : 0;
}

/* Of several processes that find the memory blank, one formats it; the others wait for it, or take over from the dead.
 * False: it is formatted, or whoever does it does not get on. */
static bool form_claim(struct fi_header *h) {
    uint64_t mine = (uint64_t)getpid();
    for (int64_t start = clock_ns(CLOCK_MONOTONIC); clock_ns(CLOCK_MONOTONIC) - start < FORM_WAIT_NS;) {
        uint64_t who = sm_load_acq(&h->h_former);
        if (sm_load_acq(&h->h_magic) == FI_MAGIC) {
            return false;
        }
        if ((who == 0 || fi_pid_gone((uint32_t)who)) && sm_cas(&h->h_former, &who, mine)) {
            return true;
        }
        sched_yield();
    }
    return false;
}

static void catalogue(struct fi_point_shm *points) {
    static const struct {
        const char *name;
        uint32_t error;
    } core[FI_CORE_POINTS] = {
#define FI_CORE_ROW(id, name, err, text) [id] = {name, err},
        SM_FAULT_POINTS(FI_CORE_ROW)
#undef FI_CORE_ROW
            [FI_POINT_CRASH] = {"crash.step", SM_OK},
    };
    for (uint32_t i = 0; i < FI_CORE_POINTS; i++) {
        memset(points[i].p_name, 0, FI_NAME_BYTES);
        memcpy(points[i].p_name, core[i].name, strlen(core[i].name));
        points[i].p_error = core[i].error;
        points[i].p_state = FI_P_CORE;
    }
}

enum sm_err fi_block_format(void *mem, uint64_t bytes, const struct fi_geometry *asked, const char *entry) {
    struct fi_geometry g = full(asked);
    struct fi_header *h = mem;
    if (!in_range(&g) || strlen(entry) >= FI_ENTRY_BYTES) {
        return SM_INVALID;
    }
    struct places p = places_of(&g);
    if (p.end > bytes) {
        return SM_TRUNCATED;
    }
    if (!form_claim(h)) {
        return sm_load_acq(&h->h_magic) == FI_MAGIC ? SM_OK : SM_STALLED;
    }
    h->h_version = FI_VERSION;
    h->h_core = FI_CORE_POINTS;
    h->h_max_points = g.g_points;
    h->h_max_slots = g.g_slots;
    h->h_max_log = g.g_log;
    h->h_max_pauses = g.g_pauses;
    h->h_block_bytes = p.end;
    h->h_created_ns = fi_wall_ns();
    catalogue((struct fi_point_shm *)(void *)((uint8_t *)mem + p.points));
    h->h_points = FI_CORE_POINTS;
    memset(h->h_entry, 0, sizeof h->h_entry);
    memcpy(h->h_entry, entry, strlen(entry));
    sm_store_rel(&h->h_magic, FI_MAGIC); /* pairs with the load in fi_block_open */
    return SM_OK;
}

enum sm_err fi_block_open(void *mem, uint64_t bytes, struct fi_block *b) {
    struct fi_header *h = mem;
    if (bytes < sizeof *h) {
        return SM_TRUNCATED;
    }
    if (sm_load_acq(&h->h_magic) != FI_MAGIC) {
        return SM_NOT_ARENA;
    }
    if (h->h_version != FI_VERSION || h->h_core != FI_CORE_POINTS) {
        return SM_VERSION;
    }
    struct fi_geometry g = {h->h_max_points, h->h_max_slots, h->h_max_log, h->h_max_pauses};
    struct places p = places_of(&g);
    if (!in_range(&g) || h->h_block_bytes != p.end) {
        return SM_CORRUPT;
    }
    if (p.end > bytes) {
        return SM_TRUNCATED;
    }
    memset(b, 0, sizeof *b);
    uint8_t *base = mem;
    b->b_header = h;
    b->b_points = (void *)(base + p.points);
    b->b_slots = (void *)(base + p.slots);
    b->b_log = (void *)(base + p.log);
    b->b_pauses = (void *)(base + p.pauses);
    b->b_max_points = g.g_points;
    b->b_max_slots = g.g_slots;
    b->b_max_log = g.g_log;
    b->b_max_pauses = g.g_pauses;
    return SM_OK;
}

void fi_block_seed(struct fi_block *b, uint64_t seed) {
    sm_store_rlx(&b->b_header->h_seed, seed);
    for (uint32_t i = 0; i < b->b_max_points; i++) {
        sm_store_rlx(&b->b_points[i].p_draws, 0);
    }
}

void fi_block_reset(struct fi_block *b) {
    struct fi_header *h = b->b_header;
    sm_store_rel(&h->w_kind, FI_OFF); /* first: half reset it injects nothing */
    sm_store_rlx(&h->w_stage, 0);
    sm_store_rlx(&h->w_reached, 0);
    sm_store_rlx(&h->w_injected, 0);
    sm_store_rlx(&h->w_crashes, 0);
    sm_store_rlx(&h->w_second, 0);
    for (uint32_t i = 0; i < b->b_max_points; i++) {
        uint64_t reached = sm_load_rlx(&b->b_points[i].p_reached);
        uint64_t slot = sm_load_acq(&b->b_points[i].p_live) & FI_LOW;
        if (slot != 0 && slot <= b->b_max_slots) { /* its program goes on counting where it was */
            (void)sm_sub_acqrel(&b->b_slots[slot - 1].s_base, reached);
        }
        sm_store_rlx(&b->b_points[i].p_reached, 0);
        sm_store_rlx(&b->b_points[i].p_injected, 0);
        sm_store_rlx(&b->b_points[i].p_draws, 0);
    }
    for (uint32_t i = 0; i < b->b_max_log; i++) {
        sm_store_rlx(&b->b_log[i].l_stamp, 0);
    }
    sm_store_rel(&h->h_log_next, 0);
}
