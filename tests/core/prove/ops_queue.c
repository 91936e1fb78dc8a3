/* ops_queue.c - queues: made, ended, put to, taken from, slept at. Each operation is one PROVE_OP. Source: prove.h. */
#include "core/queue.h"

#include "prove.h"

#define DEPTH 6

static void world_queue(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "message", .zp_bytes = 128}, 32);
    MUST_OK(sm_queue_create(s->c_arena, "q", DEPTH, &s->c_queue));
    prove_hold(s, 0, 2);
    for (int i = 0; i < 3; i++) {
        MUST_OK(sm_queue_put(s->c_queue, s->c_zone[0], prove_alloc(s, 0), 0));
    }
}

static void world_full(struct prove_cpu *s) {
    world_queue(s);
    for (int i = 3; i < DEPTH; i++) {
        MUST_OK(sm_queue_put(s->c_queue, s->c_zone[0], prove_alloc(s, 0), 0));
    }
}

static void world_empty(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "message", .zp_bytes = 128}, 32);
    MUST_OK(sm_queue_create(s->c_arena, "q", DEPTH, &s->c_queue));
    prove_hold(s, 0, 2);
}

static void world_no_queue(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "message", .zp_bytes = 128}, 32);
}

static void setup_items(struct prove_cpu *v) {
    for (v->c_items = 0; v->c_items < 5; v->c_items++) {
        v->c_item[v->c_items] = prove_alloc(v, 0);
    }
}

static void run_put(struct prove_cpu *v) {
    MUST_OK(sm_queue_put(v->c_queue, v->c_zone[0], v->c_item[0], 0));
}

static void run_put_bulk(struct prove_cpu *v) {
    uint32_t done;
    MUST_OK(sm_queue_put_bulk(v->c_queue, v->c_zone[0], v->c_items, v->c_item, 0, &done));
}

static void run_get(struct prove_cpu *v) {
    struct sm_zone *z;
    MUST_OK(sm_queue_get(v->c_queue, 0, &z, &v->c_item[0]));
}

static void run_get_bulk(struct prove_cpu *v) {
    struct sm_zone *zones[5];
    MUST_OK(sm_queue_get_bulk(v->c_queue, 5, 0, zones, v->c_item, &v->c_items));
}

PROVE_OP(put, "queue-put", .o_world = world_queue, .o_setup = setup_items, .o_queued_least = 3, .o_queued_most = 4,
         .o_run = run_put)
PROVE_OP(put_bulk, "queue-put-bulk", .o_world = world_queue, .o_setup = setup_items, .o_queued_least = 3,
         .o_queued_most = 6, .o_run = run_put_bulk)
PROVE_OP(get, "queue-get", .o_world = world_queue, .o_queued_least = 2, .o_queued_most = 3, .o_run = run_get)
PROVE_OP(get_bulk, "queue-get-bulk", .o_world = world_queue, .o_queued_least = 0, .o_queued_most = 3,
         .o_run = run_get_bulk)

/* ---------------------------------------------------------------- waiting */

static void run_put_full(struct prove_cpu *v) {
    MUST(sm_queue_put(v->c_queue, v->c_zone[0], v->c_item[0], 1000000) == SM_TIMEOUT);
}

static void run_put_woken(struct prove_cpu *v) {
    MUST_OK(sm_queue_put(v->c_queue, v->c_zone[0], v->c_item[0], -1));
}

static void run_get_woken(struct prove_cpu *v) {
    struct sm_zone *z;
    MUST_OK(sm_queue_get(v->c_queue, -1, &z, &v->c_item[0]));
}

static void wake_by_get(struct prove_cpu *c) {
    run_get(c);
}

static void wake_by_put(struct prove_cpu *c) {
    setup_items(c);
    run_put(c);
}

static void peer_gets(struct prove_cpu *p) {
    run_get_woken(p);
}

PROVE_OP(put_full, "queue-put-full", .o_world = world_full, .o_setup = setup_items, .o_queued_least = 6,
         .o_queued_most = 6, .o_run = run_put_full)
PROVE_OP(put_woken, "queue-put-woken", .o_world = world_full, .o_setup = setup_items, .o_queued_least = 5,
         .o_queued_most = 6, .o_run = run_put_woken, .o_wake = wake_by_get)
PROVE_OP(get_woken, "queue-get-woken", .o_world = world_empty, .o_run = run_get_woken, .o_wake = wake_by_put)
PROVE_OP(put_waking, "queue-put-waking", .o_world = world_empty, .o_peer = peer_gets, .o_setup = setup_items,
         .o_queued_least = 0, .o_queued_most = 1, .o_run = run_put)

/* ---------------------------------------------------------------- life */

static void run_create(struct prove_cpu *v) {
    MUST_OK(sm_queue_create(v->c_arena, "q", 1000, &v->c_queue));
}

static void run_destroy(struct prove_cpu *v) {
    MUST_OK(sm_queue_destroy(v->c_queue));
}

PROVE_OP(create, "queue-create", .o_world = world_no_queue, .o_run = run_create)
PROVE_OP(destroy, "queue-destroy", .o_world = world_empty, .o_run = run_destroy)
