/* arena.h - one attachment of one process to one arena: mapping, region pointers, its CPU.
 * Owns struct sm_arena (process-local, used by one thread at a time; see a_block). Must not know slabs or zones beyond
 * holding their handles. Takes the admin lock for regions.
 */
#ifndef SM_ARENA_H
#define SM_ARENA_H

#include <errno.h>
#include <stdbool.h>

#include "base/atomic.h"
#include "base/os.h"
#include "hooks.h"
#include "layout.h"
#include "layout_lock.h"

struct sm_zone;
struct sm_arena;

/* Geometry of a new arena; 0 in any field takes the default. */
struct sm_geometry {
    uint64_t g_max_bytes;   /* of the data region; default 1 GiB */
    uint32_t g_max_cpus;    /* default 64, at most 4094 */
    uint32_t g_max_zones;   /* default 256, at most 4094 */
    uint32_t g_max_queues;  /* default 64, at most 4094 */
    uint32_t g_max_types;   /* default 128, at most 254 */
    uint32_t g_max_buckets; /* default 16384 */
    uint32_t g_max_events;  /* default 256 */
    uint32_t g_max_sites;   /* default 1024, at most 2^20 */
    bool g_fenced;          /* fenced mode even where membarrier works */
    bool g_trace;           /* every zone is traced, see site.h */
};

/* What the language on top provides. All may be NULL.
 * a_block_begin/end bracket every wait for another process, so that the caller can let other threads run; they are
 * called with the op word clear and no lock held. A nonzero return of end makes the wait end with SM_INTERRUPTED.
 * resolve gives function and context for a callback named "module:name"; release returns them at close. */
typedef int (*sm_callback_fn)(void *mem, uint32_t bytes, void *arg, int how, void *ctx);
struct sm_runtime {
    void *rt_ctx;
    void *(*rt_block_begin)(void *ctx);
    int (*rt_block_end)(void *ctx, void *token);
    enum sm_err (*rt_resolve)(void *ctx, const char *zone, enum sm_callback_slot slot, const struct sm_callback_shm *cb,
                              sm_callback_fn *fn, void **fn_ctx);
    void (*rt_release)(void *ctx, void *fn_ctx);
    bool rt_observer; /* attaching does not reap the dead: somebody wants to look at them first */
    const struct sm_hooks
        *rt_hooks; /* armed before anything is made or claimed; NULL: none. Read during the call only */
};

#define SM_FORCED_RATE 0xffffu /* a_forced: debug.malloc.failure_rate */

struct sm_arena {
    uint8_t *a_base;
    uint64_t a_bytes; /* mapped */
    struct sm_header_shm *a_header;
    struct sm_control_shm *a_ctl;
    struct sm_cpu_shm *a_cpus;
    struct sm_zone_shm *a_zones;
    struct sm_keg_shm *a_kegs;
    struct sm_queue_shm *a_queues;
    struct sm_userlock_shm *a_locks;
    struct sm_userlock_hold_shm *a_holds; /* [lock][cpu] */
    struct sm_cache_shm *a_caches; /* [cpu][zone] */
    struct sm_type_shm *a_types;
    struct sm_type_stat_shm *a_type_stats; /* [cpu][type] */
    struct sm_event_shm *a_events;
    struct sm_bucket_shm *a_buckets;
    uint64_t *a_pagedir;
    struct sm_page_link_shm *a_links;
    uint64_t *a_metadir;
    uint8_t *a_meta;
    uint8_t *a_data;
    uint64_t a_data_off;
    uint64_t a_data_pages;
    int a_fd;
    bool a_writable;
    bool a_fenced;
    bool a_live;           /* descriptor map: a shared-memory object that others may be using, not a copy */
    uint32_t a_cpu_id;     /* SM_CPU_NONE without a slot */
    uint32_t a_epoch; /* grows when this attachment changes its CPU (fork): items of an older epoch are not ours */
    bool a_forked; /* in a child, before it claimed a slot of its own */
    struct sm_cpu_shm *a_cpu; /* own slot, or &a_orphan */
    struct sm_cpu_shm a_orphan; /* claim word always raised: sends every fast path to the slow one */
    char a_cpu_name[SM_NAME_BYTES];
    struct sm_zone **a_zone; /* open zone handles by id */
    struct sm_zone *a_zone_gone; /* handles of destroyed zones, freed at close */
    struct sm_zone *a_malloc[28]; /* malloc.c: handle of each size class and of page runs, NULL until first used */
    struct sm_armed_hooks a_hooks;
    struct sm_runtime a_runtime;
    bool a_mapped_here; /* close unmaps */
    bool a_contended; /* the last core lock was found taken */
    /* The calls that go up a layer, installed by attach.c: a CPU slot after fork, and recovery (NULL report). */
    enum sm_err (*a_ensure)(struct sm_arena *a);
    enum sm_err (*a_recover)(struct sm_arena *a);
    enum sm_err (*a_rebuild)(struct sm_arena *a); /* does a dead reaper's work again; gives the quiesce lock back */
    uint32_t a_inside; /* callbacks now running */
    uint64_t a_space_bytes; /* free space seen when the last commit failed */
    uint32_t a_blocker; /* CPU named by the last SM_STALLED, NO_OWNER or SM_DEAD_PEER */
    uint64_t a_nowait_count; /* M_NOWAIT allocations, for the failure rate */
    /* By error: what made a call fail with it that need not have: a fault point + 1, SM_FORCED_RATE; 0: nothing did. Each
     * has its own place, because what is done about a failure may be made to fail, too. */
    uint16_t a_forced[SM_ERR_COUNT];
    int a_callback_errno; /* what the last failing ctor or init returned */
    struct sm_mb *a_mb; /* mbuf_zone.c: the mbufs of this attachment, NULL until first used */
    enum sm_err (*a_mfree)(struct sm_arena *a, void *m); /* one mbuf, as m_free; for whoever frees items below mbufs */
    struct sm_site_shm *a_sites;
    uint32_t a_site; /* what the next traced allocations are recorded under, 0: the caller's address */
    uint64_t a_site_turn; /* traced allocations, for debug.sites */
    struct sm_site_known *a_site_known; /* sites of return addresses, see site.c; NULL until first needed */
};

/* The geometry with defaults filled in; SM_INVALID names nothing: ranges are in sm_geometry. */
enum sm_err sm_arena_geometry(const struct sm_geometry *asked, struct sm_geometry *full);
/* Bytes the object must span for this geometry. */
uint64_t sm_arena_object_bytes(const struct sm_geometry *full);

/* Formats an empty object and attaches to it. The descriptor is duplicated, never kept. On failure the object is left
 * at length 0, for the caller to unlink. */
enum sm_err sm_arena_create(int fd, const struct sm_geometry *asked, const struct sm_runtime *rt, const char *cpu_name,
                            struct sm_arena **out);
/* Verifies and maps, then claims a CPU slot (writable) or none (read-only: for stat, top, check on a copy). */
enum sm_err sm_arena_attach(int fd, bool writable, const struct sm_runtime *rt, const char *cpu_name,
                            struct sm_arena **out);
/* The same over a mapping that another attachment of this process made: a CPU of its own for one more thread. The
 * mapping must outlive it. */
enum sm_err sm_arena_attach_at(int fd, void *base, const struct sm_runtime *rt, const char *cpu_name,
                               struct sm_arena **out);
/* Gives the CPU slot back: buckets flushed, held items freed by their zone's policy, counters folded. The mapping
 * stays until sm_arena_close. */
enum sm_err sm_arena_detach(struct sm_arena *a);
void sm_arena_close(struct sm_arena *a);
/* In the child after fork: gives up what belongs to the parent. The next operation claims a slot. */
void sm_arena_after_fork(struct sm_arena *a);
/* A region of a companion's own, made on first call; the same name and version find it again. */
enum sm_err sm_arena_region(struct sm_arena *a, const char *name, uint64_t bytes, uint32_t version, void **mem);
enum sm_err sm_arena_find_region(const struct sm_arena *a, const char *name, uint64_t *off, uint64_t *bytes,
                                 uint32_t *version);
/* Says in the header, or takes back, that a companion is armed: whoever attaches looks into its region for the entry point
 * named in the first SM_COMPANION_ENTRY bytes. flags: of SM_ARENA_COMPANIONS. */
#define SM_COMPANION_ENTRY 128u
enum sm_err sm_arena_announce(struct sm_arena *a, uint32_t flags, bool armed);
/* Arms the hooks of the table's mask and leaves the others as they are: companions stand side by side. NULL disarms all. */
void sm_arena_set_hooks(struct sm_arena *a, const struct sm_hooks *hooks);
/* Disarms the hooks of the mask. A call that has begun in another thread may still run: their ctx stays valid. */
void sm_arena_clear_hooks(struct sm_arena *a, uint32_t mask);

/* Verification of an object before it is mapped: reads only the header. */
enum sm_err sm_arena_verify(int fd, struct sm_header_shm *copy);

static inline void *sm_at(const struct sm_arena *a, sm_off_t off) {
    return a->a_base + off;
}

static inline sm_off_t sm_off_of(const struct sm_arena *a, const void *p) {
    return (sm_off_t)((const uint8_t *)p - a->a_base);
}

static inline struct sm_cache_shm *sm_cache_of(const struct sm_arena *a, uint32_t cpu, uint32_t zone) {
    return &a->a_caches[(uint64_t)cpu * a->a_header->h_max_zones + zone];
}

/* What the armed hook says of a point; remembered in a_forced until the next allocation begins. */
enum sm_err sm_fault_armed(struct sm_arena *a, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags);

/* SM_NO_PROBES is for the benchmark of what unarmed points cost, and for nothing else: it compiles them out. */
#ifdef SM_NO_PROBES
#define SM_PROBED(a, bit) ((void)(a), false)
#else
#define SM_PROBED(a, bit) sm_unlikely((a)->a_hooks.h_mask &(bit))
#endif

static inline enum sm_err sm_fault(struct sm_arena *a, enum sm_fault_point p, const char *zone, uint64_t bytes,
                                   int flags) {
    if (SM_PROBED(a, SM_HOOK_FAULT)) {
        return sm_fault_armed(a, p, zone, bytes, flags);
    }
    return SM_OK;
}

/* The same in a callback's place: it refuses with ENOMEM. */
static inline enum sm_err sm_fault_callback(struct sm_arena *a, enum sm_fault_point p, const char *zone, uint64_t bytes,
                                            int flags) {
    enum sm_err err = sm_fault(a, p, zone, bytes, flags);
    if (sm_unlikely(err != SM_OK)) {
        a->a_callback_errno = ENOMEM; /* else the last one that really refused would be told */
    }
    return err;
}

/* A place between two steps where a test may kill this process. */
static inline void sm_crash_point(const struct sm_arena *a, uint32_t step) {
    if (SM_PROBED(a, SM_HOOK_CRASH)) {
        a->a_hooks.h_crash(a->a_hooks.h_crash_ctx, step);
    }
}

#endif
