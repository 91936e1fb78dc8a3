/* ops_refused.c - giving back while a live peer keeps the lock: items, slabs, pages and buckets go without it, and what it
 * protects is spoiled until the next to take it has it rebuilt (decision 11). The lock is refused by the victim's own hook.
 * Each operation is one PROVE_OP. Source: prove.h.
 */
#include <string.h>

#include "callbacks.h"
#include "core/malloc.h"
#include "core/queue.h"

#define ITEM_BYTES 256
#define LIMIT 32
#define ALWAYS (-1)
#define ALL UINT32_MAX

/* ---------------------------------------------------------------- refusing */

static struct {
    int f_slot; /* refuses from the first call of this callback on, ALWAYS: from the start */
    uint32_t f_skip; /* locks that are had after that */
    uint32_t f_most; /* locks that are refused then */
    uint32_t f_done; /* refused so far */
    bool f_on;
} refusal;

static enum sm_err refuse_lock(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    (void)ctx, (void)zone, (void)bytes, (void)flags;
    if (!refusal.f_on || point != SM_FP_LOCK) {
        return SM_OK;
    }
    if (refusal.f_skip > 0) {
        refusal.f_skip--;
        return SM_OK;
    }
    return refusal.f_done < refusal.f_most ? (refusal.f_done++, SM_STALLED) : SM_OK;
}

static void begin_at(enum sm_callback_slot slot) {
    refusal.f_on = refusal.f_on || (int)slot == refusal.f_slot;
}

/* The last thing of a setup. Hooks stay armed: the sweep over crash points adds its own. */
static void refuse_from(struct prove_cpu *v, int slot, uint32_t skip, uint32_t most) {
    const struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_fault = refuse_lock};
    refusal.f_slot = slot;
    refusal.f_skip = skip;
    refusal.f_most = most;
    refusal.f_done = 0;
    refusal.f_on = slot == ALWAYS;
    callback_told = begin_at;
    sm_arena_set_hooks(v->c_arena, &hooks);
}

/* At the end of a run: it went the way that is to be proved. keg, page: whose lock is spoiled now. */
static void must_be_spoiled(const struct prove_cpu *v, uint32_t refused, bool keg, bool page) {
    const struct sm_arena *a = v->c_arena;
    bool kegs = false;
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        kegs = kegs || a->a_kegs[i].k_lock.l_dirty == SM_LOCK_SPOILED;
    }
    MUST(refusal.f_done >= refused);
    MUST(kegs == keg && (a->a_ctl->ctl_page.l_dirty == SM_LOCK_SPOILED) == page);
}

/* ---------------------------------------------------------------- worlds and setups */

static void world_plain(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = ITEM_BYTES}, LIMIT);
    prove_hold(s, 0, 3);
}

static void world_bare(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "bare", .zp_bytes = 96, .zp_flags = SM_ZONE_NOBUCKET}, LIMIT);
    prove_hold(s, 0, 2);
}

static void world_bare_empty(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "bare", .zp_bytes = 96, .zp_flags = SM_ZONE_NOBUCKET}, LIMIT);
}

static void world_bare_keep(struct prove_cpu *s) {
    const struct sm_zone_params p = {.zp_name = "kept", .zp_bytes = 96, .zp_flags = SM_ZONE_NOBUCKET | SM_ZONE_KEEP};
    prove_zone(s, 0, &p, LIMIT);
    prove_hold(s, 0, 2);
}

static void with_callbacks(struct sm_zone_params *p) {
    callback_set(p, SM_CB_CTOR, "prove-ctor");
    callback_set(p, SM_CB_DTOR, "prove-dtor");
    callback_set(p, SM_CB_INIT, "prove-init");
    callback_set(p, SM_CB_FINI, "prove-fini");
}

static void world_made(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "made", .zp_bytes = ITEM_BYTES};
    with_callbacks(&p);
    prove_zone(s, 0, &p, LIMIT);
    prove_hold(s, 0, 3);
}

static void world_made_empty(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "made", .zp_bytes = ITEM_BYTES};
    callback_set(&p, SM_CB_INIT, "prove-init");
    callback_set(&p, SM_CB_FINI, "prove-fini");
    prove_zone(s, 0, &p, LIMIT);
}

static void secondary(struct prove_cpu *s, uint32_t flags) {
    struct sm_zone_params p = {.zp_name = "second", .zp_master = "plain", .zp_flags = flags};
    world_plain(s);
    with_callbacks(&p);
    prove_zone(s, 1, &p, 0);
    prove_hold(s, 1, 2);
}

static void world_secondary(struct prove_cpu *s) {
    secondary(s, 0);
}

static void world_secondary_bare(struct prove_cpu *s) {
    secondary(s, SM_ZONE_NOBUCKET);
}

static void hold(struct prove_cpu *v, uint32_t zone, uint32_t n) {
    for (v->c_items = 0; v->c_items < n; v->c_items++) {
        v->c_item[v->c_items] = prove_alloc(v, zone);
    }
}

static void give(struct prove_cpu *v, uint32_t zone) {
    while (v->c_items > 0) {
        MUST_OK(sm_zone_free(v->c_zone[zone], v->c_item[--v->c_items], NULL));
    }
}

/* ---------------------------------------------------------------- items */

static void setup_free(struct prove_cpu *v) {
    hold(v, 0, 8);
    refuse_from(v, ALWAYS, 0, ALL);
}

static void setup_free_one(struct prove_cpu *v) {
    hold(v, 0, 1);
    refuse_from(v, ALWAYS, 0, ALL);
}

static void setup_free_second(struct prove_cpu *v) {
    hold(v, 1, 2);
    refuse_from(v, ALWAYS, 0, ALL);
}

static void run_free(struct prove_cpu *v) {
    MUST_OK(sm_zone_free(v->c_zone[0], v->c_item[0], NULL));
    must_be_spoiled(v, 1, true, false);
}

static void run_free_second(struct prove_cpu *v) {
    MUST_OK(sm_zone_free(v->c_zone[1], v->c_item[0], NULL));
    must_be_spoiled(v, 1, true, false);
}

static void run_free_bulk(struct prove_cpu *v) {
    uint32_t done;
    MUST_OK(sm_zone_free_bulk(v->c_zone[0], v->c_items, v->c_item, &done));
    MUST(done == v->c_items);
    must_be_spoiled(v, 1, true, false);
}

PROVE_OP(free_one, "refused-free", .o_world = world_bare, .o_setup = setup_free, .o_run = run_free)
PROVE_OP(free_kept, "refused-free-keep", .o_world = world_bare_keep, .o_setup = setup_free_one, .o_run = run_free,
         .o_kept_least = 0, .o_kept_most = 1)
PROVE_OP(free_fini, "refused-free-fini", .o_world = world_secondary_bare, .o_setup = setup_free_second,
         .o_run = run_free_second)
PROVE_OP(free_bulk, "refused-free-bulk", .o_world = world_plain, .o_setup = setup_free, .o_run = run_free_bulk)

/* The lock is had again, and found spoiled, by the same CPU in the middle of its frees. */
static void setup_free_first(struct prove_cpu *v) {
    hold(v, 0, 8);
    refuse_from(v, ALWAYS, 0, 1);
}

static void run_free_rebuilt(struct prove_cpu *v) {
    give(v, 0);
    must_be_spoiled(v, 1, false, false);
}

PROVE_OP(free_again, "refused-free-rebuilt", .o_world = world_bare, .o_setup = setup_free_first,
         .o_run = run_free_rebuilt)

static void setup_ctor(struct prove_cpu *v) {
    hold(v, 0, 3);
    give(v, 0);
    callback_refuse = SM_CB_CTOR;
    refuse_from(v, SM_CB_CTOR, 0, ALL);
}

static void run_ctor(struct prove_cpu *v) {
    void *item;
    MUST(sm_zone_alloc(v->c_zone[0], SM_M_NOWAIT, NULL, 0, &item) == SM_CTOR_FAILED);
    must_be_spoiled(v, 1, true, false);
}

PROVE_OP(ctor, "refused-ctor-fails", .o_world = world_made, .o_setup = setup_ctor, .o_run = run_ctor)

/* Raw items of a fill: all of them accepted by the zone's init, or the third one not. */
static void setup_share(struct prove_cpu *v) {
    refuse_from(v, SM_CB_INIT, 0, ALL);
}

static void setup_zinit(struct prove_cpu *v) {
    callback_refuse = SM_CB_INIT;
    callback_refuse_after = 2;
    refuse_from(v, SM_CB_INIT, 0, ALL);
}

/* The refused ones go without the lock; the others meet it spoiled. */
static void setup_zinit_once(struct prove_cpu *v) {
    callback_refuse = SM_CB_INIT;
    callback_refuse_after = 2;
    refuse_from(v, SM_CB_INIT, 0, 1);
}

static void run_fill(struct prove_cpu *v) {
    void *item;
    MUST(sm_zone_alloc(v->c_zone[1], SM_M_NOWAIT, NULL, 0, &item) == SM_STALLED);
    must_be_spoiled(v, 2, true, false);
}

static void run_fill_rebuilt(struct prove_cpu *v) {
    (void)prove_alloc(v, 1);
    must_be_spoiled(v, 1, false, false);
}

PROVE_OP(share, "refused-fill", .o_world = world_secondary, .o_setup = setup_share, .o_run = run_fill)
PROVE_OP(zinit, "refused-init-fails", .o_world = world_secondary, .o_setup = setup_zinit, .o_run = run_fill)
PROVE_OP(zinit_once, "refused-init-rebuilt", .o_world = world_secondary, .o_setup = setup_zinit_once,
         .o_run = run_fill_rebuilt)

static void setup_drain(struct prove_cpu *v) {
    hold(v, 1, 6);
    give(v, 1);
    refuse_from(v, SM_CB_FINI, 0, ALL);
}

static void run_drain(struct prove_cpu *v) {
    uint64_t items = 0, slabs = 0;
    MUST(sm_zone_reclaim(v->c_zone[1], SM_RECLAIM_DRAIN_CPU, &items, &slabs) == SM_STALLED);
    must_be_spoiled(v, 1, true, false);
}

PROVE_OP(drain, "refused-drain-fini", .o_world = world_secondary, .o_setup = setup_drain, .o_run = run_drain)

/* ---------------------------------------------------------------- slabs */

static void setup_slab(struct prove_cpu *v, uint32_t skip, uint32_t most) {
    callback_refuse = SM_CB_INIT;
    callback_refuse_after = 5;
    refuse_from(v, SM_CB_INIT, skip, most);
}

static void setup_slab_all(struct prove_cpu *v) {
    setup_slab(v, 0, ALL);
}

static void setup_slab_pages(struct prove_cpu *v) {
    setup_slab(v, 0, 1);
}

static void setup_slab_count(struct prove_cpu *v) {
    setup_slab(v, 1, ALL);
}

static void init_refused(struct prove_cpu *v) {
    void *item;
    MUST(sm_zone_alloc(v->c_zone[0], SM_M_NOWAIT, NULL, 0, &item) == SM_INIT_FAILED);
}

static void run_slab_all(struct prove_cpu *v) {
    init_refused(v);
    must_be_spoiled(v, 2, true, true);
}

static void run_slab_pages(struct prove_cpu *v) {
    init_refused(v);
    must_be_spoiled(v, 1, false, true);
}

static void run_slab_count(struct prove_cpu *v) {
    init_refused(v);
    must_be_spoiled(v, 1, true, false);
}

PROVE_OP(slab_all, "refused-slab", .o_world = world_made_empty, .o_setup = setup_slab_all, .o_run = run_slab_all)
PROVE_OP(slab_pages, "refused-slab-pages", .o_world = world_made_empty, .o_setup = setup_slab_pages,
         .o_run = run_slab_pages)
PROVE_OP(slab_count, "refused-slab-count", .o_world = world_made_empty, .o_setup = setup_slab_count,
         .o_run = run_slab_count)

/* A slab was admitted, there are no pages to be had, and it is to be counted no more. */
static void setup_grow(struct prove_cpu *v) {
    refuse_from(v, ALWAYS, 2, ALL);
}

static void run_grow(struct prove_cpu *v) {
    void *item;
    MUST(sm_zone_alloc(v->c_zone[0], SM_M_NOWAIT, NULL, 0, &item) == SM_STALLED);
    must_be_spoiled(v, 2, true, false);
}

static void setup_release(struct prove_cpu *v) {
    hold(v, 0, 8);
    give(v, 0);
    refuse_from(v, SM_CB_FINI, 0, ALL);
}

static void run_release(struct prove_cpu *v) {
    uint64_t items = 0, slabs = 0;
    MUST(sm_zone_reclaim(v->c_zone[0], SM_RECLAIM_DRAIN, &items, &slabs) == SM_STALLED && slabs == 1);
    must_be_spoiled(v, 3, true, true);
}

PROVE_OP(grow, "refused-slab-create", .o_world = world_bare_empty, .o_setup = setup_grow, .o_run = run_grow)
PROVE_OP(release, "refused-slab-release", .o_world = world_made_empty, .o_setup = setup_release, .o_run = run_release)

/* ---------------------------------------------------------------- buckets, runs, rings, sleepers */

/* The alloc bucket is empty, and so has to go when the caches are shelved. */
static void setup_bucket(struct prove_cpu *v) {
    do {
        v->c_item[v->c_items++] = prove_alloc(v, 0);
    } while (v->c_zone[0]->z_cache->c_alloc_n != 0);
    refuse_from(v, ALWAYS, 1, 1);
}

static void run_bucket(struct prove_cpu *v) {
    MUST_OK(sm_zone_flush_cpu(v->c_arena, v->c_arena->a_cpu_id));
    must_be_spoiled(v, 1, false, true);
}

PROVE_OP(bucket, "refused-bucket", .o_world = world_plain, .o_setup = setup_bucket, .o_run = run_bucket)

#define LARGE 100000

static void world_type(struct prove_cpu *s) {
    struct sm_zone *z;
    void *item;
    MUST_OK(sm_malloc_type(s->c_arena, "scratch", &s->c_type));
    MUST_OK(sm_malloc(s->c_arena, LARGE, 0, SM_M_NOWAIT, 0, &z, &item));
    MUST_OK(sm_malloc_free(s->c_arena, item));
}

static void setup_large(struct prove_cpu *v) {
    struct sm_zone *z;
    for (v->c_items = 0; v->c_items < 2; v->c_items++) {
        MUST_OK(sm_malloc(v->c_arena, LARGE, 0, SM_M_NOWAIT, 0, &z, &v->c_item[v->c_items]));
    }
    refuse_from(v, ALWAYS, 0, ALL);
}

static void run_large(struct prove_cpu *v) {
    MUST_OK(sm_malloc_free(v->c_arena, v->c_item[0]));
    must_be_spoiled(v, 1, true, true);
}

PROVE_OP(large, "refused-free-large", .o_world = world_type, .o_setup = setup_large, .o_run = run_large)

static void world_queue(struct prove_cpu *s) {
    world_plain(s);
    MUST_OK(sm_queue_create(s->c_arena, "work", 8, &s->c_queue));
}

static void setup_queue(struct prove_cpu *v) {
    refuse_from(v, ALWAYS, 1, ALL);
}

static void run_queue(struct prove_cpu *v) {
    MUST_OK(sm_queue_destroy(v->c_queue));
    must_be_spoiled(v, 1, false, true);
}

PROVE_OP(queue, "refused-queue-destroy", .o_world = world_queue, .o_setup = setup_queue, .o_run = run_queue)

/* A sleeper at the limit gives up in time and cannot say so: the keg's count of sleepers is made anew from the caches. */
static void world_exhausted(struct prove_cpu *s) {
    struct sm_zone *z = prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "scarce", .zp_bytes = 512}, 8);
    prove_hold(s, 0, (uint32_t)sm_zone_get_max(z));
}

static uint64_t locks_of_a_sleep;
static enum sm_err count_lock(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    (void)ctx, (void)zone, (void)bytes, (void)flags;
    locks_of_a_sleep += point == SM_FP_LOCK;
    return SM_OK;
}

static void sleep_in_vain(struct prove_cpu *v) {
    void *item;
    MUST(sm_zone_alloc(v->c_zone[0], SM_M_WAITOK, NULL, 1000000, &item) == SM_LIMIT);
}

/* The last lock that a sleep in vain takes is that of the leave. */
static void setup_leave(struct prove_cpu *v) {
    const struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_fault = count_lock};
    sm_arena_set_hooks(v->c_arena, &hooks);
    sleep_in_vain(v);
    locks_of_a_sleep = 0;
    sleep_in_vain(v);
    refuse_from(v, ALWAYS, (uint32_t)locks_of_a_sleep - 1, 1);
}

static void run_leave(struct prove_cpu *v) {
    sleep_in_vain(v);
    must_be_spoiled(v, 1, true, false);
}

PROVE_OP(leave, "refused-sleeper-leaves", .o_world = world_exhausted, .o_setup = setup_leave, .o_run = run_leave)

/* ---------------------------------------------------------------- the next to take the lock */

/* Nobody died: a live CPU stops the world and rebuilds what it spoiled itself. */
static void setup_spoiled_keg(struct prove_cpu *v) {
    hold(v, 0, 8);
    refuse_from(v, ALWAYS, 0, 1);
    MUST_OK(sm_zone_free(v->c_zone[0], v->c_item[0], NULL));
    must_be_spoiled(v, 1, true, false);
}

static void setup_spoiled_pages(struct prove_cpu *v) {
    struct sm_zone *z;
    for (v->c_items = 0; v->c_items < 2; v->c_items++) {
        MUST_OK(sm_malloc(v->c_arena, LARGE, 0, SM_M_NOWAIT, 0, &z, &v->c_item[v->c_items]));
    }
    refuse_from(v, ALWAYS, 1, 1);
    MUST_OK(sm_malloc_free(v->c_arena, v->c_item[0]));
    must_be_spoiled(v, 1, false, true);
}

static void run_alloc_rebuilt(struct prove_cpu *v) {
    (void)prove_alloc(v, 0);
    must_be_spoiled(v, 1, false, false);
}

static void run_large_rebuilt(struct prove_cpu *v) {
    struct sm_zone *z;
    MUST_OK(sm_malloc(v->c_arena, LARGE, 0, SM_M_NOWAIT, 0, &z, &v->c_item[2]));
    must_be_spoiled(v, 1, false, false);
}

PROVE_OP(rebuild_keg, "spoiled-keg", .o_world = world_bare, .o_setup = setup_spoiled_keg, .o_run = run_alloc_rebuilt)
PROVE_OP(rebuild_pages, "spoiled-pages", .o_world = world_type, .o_setup = setup_spoiled_pages,
         .o_run = run_large_rebuilt)
