/* ops_zone.c - allocations and frees on every path of a zone: buckets, slabs, new slabs, callbacks that refuse, the
 * limit. Each operation is one PROVE_OP. Source: prove.h.
 */
#include <string.h>

#include "callbacks.h"

#define ITEM_BYTES 256
#define LIMIT 32

static void world_plain(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = ITEM_BYTES}, LIMIT);
    prove_hold(s, 0, 3);
}

/* The only slabs are full of the survivor's items, so the next allocation makes one. */
static void world_full_slab(struct prove_cpu *s) {
    struct sm_zone *z = prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = ITEM_BYTES}, LIMIT);
    prove_hold(s, 0, z->z_items);
}

/* Full buckets of the survivor's on the zone's list: the victim's refill makes their words its own, one by one. */
static void world_shelf(struct prove_cpu *s) {
    struct sm_zone *z = prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = ITEM_BYTES}, 512);
    void *items[400];
    prove_hold(s, 0, 3);
    for (int i = 0; i < 400; i++) {
        items[i] = prove_alloc(s, 0);
    }
    for (int i = 0; i < 400; i++) {
        MUST_OK(sm_zone_free(z, items[i], NULL));
    }
    MUST(z->z_shm->z_full_count > 0);
}

static void world_nothing_yet(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = ITEM_BYTES}, LIMIT);
}

static void setup_warm(struct prove_cpu *v) {
    void *items[3];
    for (int i = 0; i < 3; i++) {
        items[i] = prove_alloc(v, 0);
    }
    for (int i = 0; i < 3; i++) {
        MUST_OK(sm_zone_free(v->c_zone[0], items[i], NULL));
    }
}

static void setup_holding(struct prove_cpu *v) {
    for (v->c_items = 0; v->c_items < 8; v->c_items++) {
        v->c_item[v->c_items] = prove_alloc(v, 0);
    }
}

static void run_alloc(struct prove_cpu *v) {
    (void)prove_alloc(v, 0);
}

static void run_alloc_several(struct prove_cpu *v) {
    for (int i = 0; i < 8; i++) {
        (void)prove_alloc(v, 0);
    }
}

static void run_free(struct prove_cpu *v) {
    MUST_OK(sm_zone_free(v->c_zone[0], v->c_item[0], NULL));
}

static void run_free_several(struct prove_cpu *v) {
    for (uint32_t i = 0; i < v->c_items; i++) {
        MUST_OK(sm_zone_free(v->c_zone[0], v->c_item[i], NULL));
    }
}

PROVE_OP(alloc, "alloc", .o_world = world_plain, .o_setup = setup_warm, .o_run = run_alloc)
PROVE_OP(free, "free", .o_world = world_plain, .o_setup = setup_holding, .o_run = run_free)
PROVE_OP(refill, "refill", .o_world = world_plain, .o_run = run_alloc)
PROVE_OP(refill_shelf, "refill-from-shelf", .o_world = world_shelf, .o_run = run_alloc)
PROVE_OP(alloc_several, "alloc-several", .o_world = world_plain, .o_run = run_alloc_several)
PROVE_OP(free_several, "free-several", .o_world = world_plain, .o_setup = setup_holding, .o_run = run_free_several)
PROVE_OP(slab_create, "slab-create", .o_world = world_full_slab, .o_run = run_alloc)
PROVE_OP(slab_first, "slab-create-first", .o_world = world_nothing_yet, .o_run = run_alloc)

/* ---------------------------------------------------------------- bulk */

static void run_alloc_bulk(struct prove_cpu *v) {
    uint32_t got;
    MUST_OK(sm_zone_alloc_bulk(v->c_zone[0], SM_M_NOWAIT, 0, 12, v->c_item, &got));
}

static void setup_holding_bulk(struct prove_cpu *v) {
    MUST_OK(sm_zone_alloc_bulk(v->c_zone[0], SM_M_NOWAIT, 0, 12, v->c_item, &v->c_items));
}

static void run_free_bulk(struct prove_cpu *v) {
    uint32_t done;
    MUST_OK(sm_zone_free_bulk(v->c_zone[0], v->c_items, v->c_item, &done));
}

PROVE_OP(alloc_bulk, "alloc-bulk", .o_world = world_plain, .o_setup = setup_warm, .o_run = run_alloc_bulk)
PROVE_OP(free_bulk, "free-bulk", .o_world = world_plain, .o_setup = setup_holding_bulk, .o_run = run_free_bulk)

/* ---------------------------------------------------------------- giving back */

static void setup_emptied(struct prove_cpu *v) {
    setup_holding(v);
    run_free_several(v);
}

static void run_drain(struct prove_cpu *v) {
    uint64_t items = 0, slabs = 0;
    MUST_OK(sm_zone_reclaim(v->c_zone[0], SM_RECLAIM_DRAIN_CPU, &items, &slabs));
}

static void run_trim(struct prove_cpu *v) {
    uint64_t items = 0, slabs = 0;
    MUST_OK(sm_zone_reclaim(v->c_zone[0], SM_RECLAIM_DRAIN, &items, &slabs));
}

static void world_punch(struct prove_cpu *s) {
    world_nothing_yet(s);
    MUST_OK(sm_tunable_set(s->c_arena, SM_TU_PUNCH_PAGES, 1));
}

static void run_reclaim(struct prove_cpu *v) {
    uint64_t pages;
    MUST_OK(sm_arena_reclaim(v->c_arena, SM_RECLAIM_DRAIN_CPU, &pages));
}

static void setup_punched(struct prove_cpu *v) {
    setup_emptied(v);
    run_reclaim(v);
}

PROVE_OP(drain, "drain", .o_world = world_plain, .o_setup = setup_emptied, .o_run = run_drain)
PROVE_OP(slab_release, "slab-release", .o_world = world_nothing_yet, .o_setup = setup_emptied, .o_run = run_trim)
PROVE_OP(reclaim_punch, "reclaim-punch", .o_world = world_punch, .o_setup = setup_emptied, .o_run = run_reclaim)
PROVE_OP(slab_hole, "slab-create-in-hole", .o_world = world_punch, .o_setup = setup_punched, .o_run = run_alloc)

/* ---------------------------------------------------------------- zones with callbacks */

static void world_callbacks(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "made", .zp_bytes = ITEM_BYTES};
    callback_set(&p, SM_CB_CTOR, "prove-ctor");
    callback_set(&p, SM_CB_DTOR, "prove-dtor");
    callback_set(&p, SM_CB_INIT, "prove-init");
    callback_set(&p, SM_CB_FINI, "prove-fini");
    prove_zone(s, 0, &p, LIMIT);
    prove_hold(s, 0, 3);
}

static void world_callbacks_bare(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "made", .zp_bytes = ITEM_BYTES};
    callback_set(&p, SM_CB_INIT, "prove-init");
    callback_set(&p, SM_CB_FINI, "prove-fini");
    prove_zone(s, 0, &p, LIMIT);
}

static void setup_refusing_ctor(struct prove_cpu *v) {
    setup_warm(v);
    callback_refuse = SM_CB_CTOR;
}

static void setup_refusing_init(struct prove_cpu *v) {
    (void)v;
    callback_refuse = SM_CB_INIT;
    callback_refuse_after = 5;
}

static void run_alloc_refused(struct prove_cpu *v) {
    void *item;
    MUST(sm_zone_alloc(v->c_zone[0], SM_M_NOWAIT, NULL, 0, &item) != SM_OK);
}

PROVE_OP(ctor, "alloc-ctor", .o_world = world_callbacks, .o_setup = setup_warm, .o_run = run_alloc)
PROVE_OP(dtor, "free-dtor", .o_world = world_callbacks, .o_setup = setup_holding, .o_run = run_free)
PROVE_OP(ctor_fails, "ctor-fails", .o_world = world_callbacks, .o_setup = setup_refusing_ctor,
         .o_run = run_alloc_refused)
PROVE_OP(init, "slab-create-init", .o_world = world_callbacks_bare, .o_run = run_alloc)
PROVE_OP(init_fails, "init-fails", .o_world = world_callbacks_bare, .o_setup = setup_refusing_init,
         .o_run = run_alloc_refused)
PROVE_OP(fini, "slab-release-fini", .o_world = world_callbacks_bare, .o_setup = setup_emptied, .o_run = run_trim)

/* Recovery runs while another process, in an init, is making a slab that only it knows. */
static void peer_in_init(struct prove_cpu *p) {
    callback_stop = SM_CB_INIT;
    (void)prove_alloc(p, 0);
}

static void setup_beside(struct prove_cpu *v) {
    v->c_item[0] = prove_alloc(v, 0);
}

PROVE_OP(unborn_alloc, "alloc-beside-unborn", .o_world = world_callbacks_bare, .o_peer = peer_in_init,
         .o_run = run_alloc)
PROVE_OP(unborn_free, "free-beside-unborn", .o_world = world_callbacks_bare, .o_peer = peer_in_init,
         .o_setup = setup_beside, .o_run = run_free)

/* ---------------------------------------------------------------- secondary zones */

static void world_secondary(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "second", .zp_master = "plain"};
    world_plain(s);
    callback_set(&p, SM_CB_CTOR, "prove-ctor");
    callback_set(&p, SM_CB_DTOR, "prove-dtor");
    callback_set(&p, SM_CB_INIT, "prove-init");
    callback_set(&p, SM_CB_FINI, "prove-fini");
    prove_zone(s, 1, &p, 0);
    prove_hold(s, 1, 2);
}

static void run_secondary_alloc(struct prove_cpu *v) {
    (void)prove_alloc(v, 1);
}

static void run_secondary_refused(struct prove_cpu *v) {
    void *item;
    (void)sm_zone_alloc(v->c_zone[1], SM_M_NOWAIT, NULL, 0, &item);
}

static void setup_secondary_holding(struct prove_cpu *v) {
    for (v->c_items = 0; v->c_items < 6; v->c_items++) {
        v->c_item[v->c_items] = prove_alloc(v, 1);
    }
}

static void run_secondary_free(struct prove_cpu *v) {
    for (uint32_t i = 0; i < v->c_items; i++) {
        MUST_OK(sm_zone_free(v->c_zone[1], v->c_item[i], NULL));
    }
}

static void setup_secondary_refusing(struct prove_cpu *v) {
    (void)v;
    callback_refuse = SM_CB_INIT;
    callback_refuse_after = 2;
}

static void setup_secondary_emptied(struct prove_cpu *v) {
    setup_secondary_holding(v);
    run_secondary_free(v);
}

static void run_secondary_drain(struct prove_cpu *v) {
    uint64_t items = 0, slabs = 0;
    MUST_OK(sm_zone_reclaim(v->c_zone[1], SM_RECLAIM_DRAIN_CPU, &items, &slabs));
}

PROVE_OP(secondary_fill, "secondary-fill", .o_world = world_secondary, .o_run = run_secondary_alloc)
PROVE_OP(secondary_free, "secondary-free", .o_world = world_secondary, .o_setup = setup_secondary_holding,
         .o_run = run_secondary_free)
PROVE_OP(secondary_refused, "secondary-init-fails", .o_world = world_secondary, .o_setup = setup_secondary_refusing,
         .o_run = run_secondary_refused)
PROVE_OP(secondary_drain, "secondary-drain", .o_world = world_secondary, .o_setup = setup_secondary_emptied,
         .o_run = run_secondary_drain)

/* ---------------------------------------------------------------- flags */

static void world_debug(struct prove_cpu *s) {
    prove_zone(s, 0,
               &(struct sm_zone_params){
                   .zp_name = "debug", .zp_bytes = 96, .zp_flags = SM_ZONE_TRASH | SM_ZONE_REDZONE | SM_ZONE_REFCNT},
               LIMIT);
    prove_hold(s, 0, 2);
}

static void world_nobucket(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "bare", .zp_bytes = 96, .zp_flags = SM_ZONE_NOBUCKET}, LIMIT);
    prove_hold(s, 0, 2);
}

static void world_offpage(struct prove_cpu *s) {
    prove_zone(
        s, 0,
        &(struct sm_zone_params){.zp_name = "pages", .zp_bytes = 6000, .zp_flags = SM_ZONE_OFFPAGE | SM_ZONE_ZINIT}, 8);
}

PROVE_OP(debug_alloc, "alloc-debug", .o_world = world_debug, .o_setup = setup_warm, .o_run = run_alloc)
PROVE_OP(debug_free, "free-debug", .o_world = world_debug, .o_setup = setup_holding, .o_run = run_free)
PROVE_OP(nobucket_alloc, "alloc-nobucket", .o_world = world_nobucket, .o_run = run_alloc)
PROVE_OP(nobucket_free, "free-nobucket", .o_world = world_nobucket, .o_setup = setup_holding, .o_run = run_free)
PROVE_OP(offpage, "slab-create-offpage", .o_world = world_offpage, .o_run = run_alloc)
