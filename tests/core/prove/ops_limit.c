/* ops_limit.c - sleeping at a zone's limit, being woken, waking. Each operation is one PROVE_OP. Source: prove.h. */
#include "prove.h"

#define LIMIT 8

/* The survivor holds everything but `n` items; those are in transit, for whoever adopts them. */
static void world_exhausted(struct prove_cpu *s) {
    struct sm_zone *z = prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "scarce", .zp_bytes = 512}, LIMIT);
    struct sm_handle h;
    prove_hold(s, 0, LIMIT - 1);
    MUST_OK(sm_zone_ticket(z, prove_alloc(s, 0), &h));
}

static void *adopt_ticket(struct prove_cpu *c) {
    struct sm_arena *a = c->c_arena;
    struct sm_zone *z;
    void *item;
    for (uint32_t page = 0; page < a->a_ctl->ctl_frontier; page++) {
        struct sm_slab_ref s;
        if (sm_slab_at(a, page, &s) != SM_OK) {
            continue;
        }
        for (uint32_t i = 0; i < a->a_kegs[s.sr_keg].k_items; i++) {
            uint64_t w = s.sr_words[i];
            struct sm_handle h = {sm_slab_item(a, &s, i), SM_ST_GEN(w), SM_ST_ZONE(w)};
            if (SM_ST_KIND(w) == SM_TICKETED) {
                MUST_OK(sm_zone_adopt(a, h, &z, &item));
                return item;
            }
        }
    }
    prove_die(__FILE__, __LINE__, "no ticket");
}

static void run_sleep(struct prove_cpu *v) {
    void *item;
    MUST(sm_zone_alloc(v->c_zone[0], SM_M_WAITOK, NULL, 1000000, &item) == SM_LIMIT);
}

static void run_sleep_woken(struct prove_cpu *v) {
    void *item;
    MUST_OK(sm_zone_alloc(v->c_zone[0], SM_M_WAITOK, NULL, -1, &item));
}

static void wake_by_free(struct prove_cpu *c) {
    MUST_OK(sm_zone_free(c->c_zone[0], adopt_ticket(c), NULL));
}

static void wake_by_limit(struct prove_cpu *c) {
    uint64_t effective;
    MUST_OK(sm_zone_set_max(c->c_zone[0], 2 * LIMIT, &effective));
}

static void peer_asleep(struct prove_cpu *p) {
    void *item;
    (void)sm_zone_alloc(p->c_zone[0], SM_M_WAITOK, NULL, -1, &item);
}

static void setup_adopted(struct prove_cpu *v) {
    v->c_item[0] = adopt_ticket(v);
}

static void run_free(struct prove_cpu *v) {
    MUST_OK(sm_zone_free(v->c_zone[0], v->c_item[0], NULL));
}

static void run_raise(struct prove_cpu *v) {
    wake_by_limit(v);
}

PROVE_OP(sleep_timeout, "limit-sleep", .o_world = world_exhausted, .o_run = run_sleep)
PROVE_OP(sleep_woken, "limit-sleep-woken", .o_world = world_exhausted, .o_run = run_sleep_woken, .o_wake = wake_by_free)
PROVE_OP(sleep_raised, "limit-sleep-raised", .o_world = world_exhausted, .o_run = run_sleep_woken,
         .o_wake = wake_by_limit)
PROVE_OP(wake, "limit-wake", .o_world = world_exhausted, .o_flags = PROVE_WAKES, .o_peer = peer_asleep,
         .o_setup = setup_adopted, .o_run = run_free)
PROVE_OP(raise, "limit-raise", .o_world = world_exhausted, .o_flags = PROVE_WAKES, .o_peer = peer_asleep,
         .o_run = run_raise)

/* ---------------------------------------------------------------- passages between CPUs */

static void world_keep(struct prove_cpu *s) {
    struct sm_handle h;
    struct sm_zone *z =
        prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "kept", .zp_bytes = 512, .zp_flags = SM_ZONE_KEEP}, LIMIT);
    prove_hold(s, 0, 2);
    MUST_OK(sm_zone_ticket(z, prove_alloc(s, 0), &h));
}

static void setup_item(struct prove_cpu *v) {
    v->c_item[0] = prove_alloc(v, 0);
}

/* What an allocation in bulk leaves in the op word's argument and in the bucket must mean nothing to the next one. */
static void world_keep_many(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "kept", .zp_bytes = 512, .zp_flags = SM_ZONE_KEEP}, 64);
    prove_hold(s, 0, 2);
}

static void setup_bulk(struct prove_cpu *v) {
    uint32_t got;
    for (int i = 0; i < 5; i++) {
        v->c_item[i] = prove_alloc(v, 0);
    }
    for (int i = 0; i < 5; i++) {
        MUST_OK(sm_zone_free(v->c_zone[0], v->c_item[i], NULL));
    }
    MUST_OK(sm_zone_alloc_bulk(v->c_zone[0], SM_M_NOWAIT, 0, 5, v->c_item, &got));
    MUST_OK(sm_zone_free(v->c_zone[0], v->c_item[4], NULL));
}

static void run_ticket(struct prove_cpu *v) {
    struct sm_handle h;
    MUST_OK(sm_zone_ticket(v->c_zone[0], v->c_item[0], &h));
}

static void run_adopt(struct prove_cpu *v) {
    (void)adopt_ticket(v);
}

static void run_alloc(struct prove_cpu *v) {
    v->c_item[0] = prove_alloc(v, 0);
}

static void run_bulk(struct prove_cpu *v) {
    uint32_t got;
    MUST_OK(sm_zone_alloc_bulk(v->c_zone[0], SM_M_NOWAIT, 0, 3, v->c_item, &got));
}

PROVE_OP(ticket, "ticket", .o_world = world_keep, .o_setup = setup_item, .o_run = run_ticket, .o_kept_least = 2,
         .o_kept_most = 2)
PROVE_OP(adopt, "adopt", .o_world = world_keep, .o_run = run_adopt, .o_kept_least = 1, .o_kept_most = 1)
PROVE_OP(keep_alloc, "alloc-keep", .o_world = world_keep, .o_setup = setup_item, .o_run = run_alloc, .o_kept_least = 2,
         .o_kept_most = 3)
PROVE_OP(keep_free, "free-keep", .o_world = world_keep, .o_setup = setup_item, .o_run = run_free, .o_kept_least = 1,
         .o_kept_most = 2)
PROVE_OP(keep_after_bulk, "alloc-keep-after-bulk", .o_world = world_keep_many, .o_setup = setup_bulk,
         .o_run = run_alloc, .o_kept_least = 4, .o_kept_most = 5)
PROVE_OP(keep_bulk, "alloc-keep-bulk", .o_world = world_keep, .o_setup = setup_item, .o_run = run_bulk,
         .o_kept_least = 2, .o_kept_most = 5)
