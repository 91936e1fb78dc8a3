/* ops_arena.c - attaching and leaving, tables, tunables, a check. Each operation is one PROVE_OP. Source: prove.h. */
#include "callbacks.h"
#include "core/queue.h"

static void world_plain(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = 256}, 32);
    prove_hold(s, 0, 3);
}

static void world_two(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "second", .zp_master = "plain"};
    world_plain(s);
    prove_zone(s, 1, &(struct sm_zone_params){.zp_name = "kept", .zp_bytes = 128, .zp_flags = SM_ZONE_KEEP}, 16);
    callback_set(&p, SM_CB_DTOR, "prove-dtor");
    callback_set(&p, SM_CB_FINI, "prove-fini");
    prove_zone(s, 2, &p, 0);
}

static void setup_busy(struct prove_cpu *v) {
    void *last = NULL;
    for (uint32_t z = 0; z < 3; z++) {
        for (int i = 0; i < 3; i++) {
            last = prove_alloc(v, z);
        }
        MUST_OK(sm_zone_free(v->c_zone[z], last, NULL));
    }
}

static void run_attach(struct prove_cpu *v) {
    MUST_OK(sm_arena_attach(v->c_fd, true, NULL, "victim", &v->c_arena));
}

static void run_detach(struct prove_cpu *v) {
    MUST_OK(sm_arena_detach(v->c_arena));
}

PROVE_OP(attach, "attach", .o_world = world_plain, .o_run = run_attach, .o_flags = PROVE_BARE)
PROVE_OP(detach, "detach", .o_world = world_two, .o_setup = setup_busy, .o_run = run_detach)

/* ---------------------------------------------------------------- tables */

static void run_zone_create(struct prove_cpu *v) {
    struct sm_zone_params p = {.zp_name = "new", .zp_bytes = 300};
    MUST_OK(sm_zone_create(v->c_arena, &p, &v->c_zone[1]));
}

static void run_secondary_create(struct prove_cpu *v) {
    struct sm_zone_params p = {.zp_name = "new", .zp_master = "plain"};
    MUST_OK(sm_zone_create(v->c_arena, &p, &v->c_zone[1]));
}

static void setup_zone(struct prove_cpu *v) {
    void *item;
    run_zone_create(v);
    item = prove_alloc(v, 1);
    MUST_OK(sm_zone_free(v->c_zone[1], item, NULL));
}

static void run_zone_destroy(struct prove_cpu *v) {
    uint64_t live;
    MUST_OK(sm_zone_destroy(v->c_zone[1], &live));
}

static void setup_secondary(struct prove_cpu *v) {
    void *item;
    run_secondary_create(v);
    item = prove_alloc(v, 1);
    MUST_OK(sm_zone_free(v->c_zone[1], item, NULL));
}

PROVE_OP(zone_create, "zone-create", .o_world = world_plain, .o_run = run_zone_create)
PROVE_OP(zone_destroy, "zone-destroy", .o_world = world_plain, .o_setup = setup_zone, .o_run = run_zone_destroy)
PROVE_OP(secondary_create, "secondary-create", .o_world = world_plain, .o_run = run_secondary_create)
PROVE_OP(secondary_destroy, "secondary-destroy", .o_world = world_plain, .o_setup = setup_secondary,
         .o_run = run_zone_destroy)

static void run_region(struct prove_cpu *v) {
    void *mem;
    MUST_OK(sm_arena_region(v->c_arena, "companion", 5000, 1, &mem));
}

static void run_announce(struct prove_cpu *v) {
    MUST_OK(sm_arena_announce(v->c_arena, SM_ARENA_WITNESS, true));
}

static void setup_announced(struct prove_cpu *v) {
    run_region(v);
    run_announce(v);
}

static void run_unannounce(struct prove_cpu *v) {
    MUST_OK(sm_arena_announce(v->c_arena, SM_ARENA_WITNESS, false));
}

static void run_limits(struct prove_cpu *v) {
    uint64_t effective;
    MUST_OK(sm_zone_set_max(v->c_zone[0], 48, &effective));
    MUST_OK(sm_zone_set_maxcache(v->c_zone[0], 4));
    MUST_OK(sm_zone_set_warning(v->c_zone[0], "nearly full"));
    MUST_OK(sm_zone_prealloc(v->c_zone[0], 20));
}

static void run_policy(struct prove_cpu *v) {
    MUST_OK(sm_tunable_set(v->c_arena, SM_TU_FAIL_RATE, 1000000000));
    MUST_OK(sm_tunable_set(v->c_arena, SM_TU_FAIL_RATE, 0));
}

static void run_check(struct prove_cpu *v) {
    struct sm_check_result r;
    MUST_OK(sm_check(v->c_arena, 1, NULL, NULL, &r));
}

static void run_event(struct prove_cpu *v) {
    sm_event_log(v->c_arena, SM_EV_NOTE, "a line of %d words", 4);
}

PROVE_OP(region, "region", .o_world = world_plain, .o_run = run_region)
PROVE_OP(announce, "announce", .o_world = world_plain, .o_setup = run_region, .o_run = run_announce)
PROVE_OP(unannounce, "unannounce", .o_world = world_plain, .o_setup = setup_announced, .o_run = run_unannounce)
PROVE_OP(limits, "limits", .o_world = world_plain, .o_run = run_limits)
PROVE_OP(policy, "tunable-policy", .o_world = world_plain, .o_run = run_policy)
PROVE_OP(check, "check", .o_world = world_plain, .o_run = run_check)
PROVE_OP(event, "event", .o_world = world_plain, .o_run = run_event)
