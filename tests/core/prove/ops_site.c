/* ops_site.c - allocations and frees in traced zones, and the insert of a site. Each operation is one PROVE_OP. After
 * any kill check must find I17 whole, and a later insert must go on. Source: prove.h.
 */
#include "prove.h"

#include "core/site.h"

/* A process remembers the site of an address that it has seen once; the survivor, whose object is made an earlier one
 * again and again, would remember what is not there yet. So it says its site. */
static void say_site(struct prove_cpu *c, const char *text) {
    uint32_t site;
    MUST_OK(sm_site_intern(c->c_arena, text, &site));
    MUST_OK(sm_site_set(c->c_arena, site));
}

static void world_traced(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "traced", .zp_bytes = 256, .zp_flags = SM_ZONE_TRACE};
    prove_zone(s, 0, &p, 32);
    say_site(s, "the survivor's");
    prove_hold(s, 0, 3);
}

static void world_kept(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "kept", .zp_bytes = 256, .zp_flags = SM_ZONE_TRACE | SM_ZONE_KEEP};
    prove_zone(s, 0, &p, 32);
    say_site(s, "the survivor's");
    prove_hold(s, 0, 3);
}

static void world_untraced(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = 256}, 32);
    prove_hold(s, 0, 3);
}

static void setup_site(struct prove_cpu *v) {
    say_site(v, "the victim's");
}

static void setup_holding(struct prove_cpu *v) {
    setup_site(v);
    for (v->c_items = 0; v->c_items < 4; v->c_items++) {
        v->c_item[v->c_items] = prove_alloc(v, 0);
    }
}

static void run_alloc(struct prove_cpu *v) {
    (void)prove_alloc(v, 0);
}

static void run_free(struct prove_cpu *v) {
    MUST_OK(sm_zone_free(v->c_zone[0], v->c_item[0], NULL));
}

static void run_insert(struct prove_cpu *v) {
    say_site(v, "new");
    (void)prove_alloc(v, 0);
}

static void run_create(struct prove_cpu *v) {
    struct sm_zone_params p = {.zp_name = "traced", .zp_bytes = 64, .zp_flags = SM_ZONE_TRACE};
    MUST_OK(sm_zone_create(v->c_arena, &p, &v->c_zone[1]));
}

PROVE_OP(traced_alloc, "traced-alloc", .o_world = world_traced, .o_setup = setup_holding, .o_run = run_alloc)
PROVE_OP(traced_refill, "traced-refill", .o_world = world_traced, .o_setup = setup_site, .o_run = run_alloc)
PROVE_OP(traced_kept, "traced-alloc-keep", .o_world = world_kept, .o_setup = setup_site, .o_run = run_alloc)
PROVE_OP(traced_free, "traced-free", .o_world = world_traced, .o_setup = setup_holding, .o_run = run_free)
PROVE_OP(site_insert, "site-insert", .o_world = world_traced, .o_run = run_insert)
PROVE_OP(traced_create, "traced-zone-create", .o_world = world_untraced, .o_run = run_create)
