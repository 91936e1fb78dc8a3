/* ops_malloc.c - malloc and free of small and large sizes, types. Each operation is one PROVE_OP. Source: prove.h. */
#include "prove.h"

#include "core/malloc.h"

#define SMALL 100
#define LARGE 100000

static void world_type(struct prove_cpu *s) {
    struct sm_zone *z;
    void *item;
    MUST_OK(sm_malloc_type(s->c_arena, "scratch", &s->c_type));
    MUST_OK(sm_malloc(s->c_arena, SMALL, 0, SM_M_NOWAIT, 0, &z, &item));
    MUST_OK(sm_malloc_free(s->c_arena, item));
}

static void world_bare(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = 256}, 32);
    prove_hold(s, 0, 3);
}

static void allocate(struct prove_cpu *v, uint64_t bytes) {
    struct sm_zone *z;
    MUST_OK(sm_malloc(v->c_arena, bytes, 0, SM_M_NOWAIT, 0, &z, &v->c_item[v->c_items]));
    v->c_items++;
}

static void run_small(struct prove_cpu *v) {
    allocate(v, SMALL);
}

static void run_large(struct prove_cpu *v) {
    allocate(v, LARGE);
}

static void setup_small(struct prove_cpu *v) {
    allocate(v, SMALL);
    allocate(v, SMALL);
}

static void setup_large(struct prove_cpu *v) {
    allocate(v, LARGE);
    allocate(v, LARGE);
}

static void run_free(struct prove_cpu *v) {
    MUST_OK(sm_malloc_free(v->c_arena, v->c_item[0]));
}

static void run_type(struct prove_cpu *v) {
    MUST_OK(sm_malloc_type(v->c_arena, "another", &v->c_type));
}

PROVE_OP(small, "malloc-small", .o_world = world_type, .o_setup = setup_small, .o_run = run_small)
PROVE_OP(small_first, "malloc-small-first", .o_world = world_type, .o_run = run_small)
PROVE_OP(small_free, "malloc-free-small", .o_world = world_type, .o_setup = setup_small, .o_run = run_free)
PROVE_OP(large, "malloc-large", .o_world = world_type, .o_setup = setup_large, .o_run = run_large)
PROVE_OP(large_first, "malloc-large-first", .o_world = world_type, .o_run = run_large)
PROVE_OP(large_free, "malloc-free-large", .o_world = world_type, .o_setup = setup_large, .o_run = run_free)
PROVE_OP(type, "malloc-type", .o_world = world_bare, .o_run = run_type)
