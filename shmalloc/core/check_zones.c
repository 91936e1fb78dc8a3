/* check_zones.c - I12, I14, I15: counters of zones, sleepers of kegs, counters of malloc types.
 * Owns nothing. Counters of a CPU count only while its slot is taken: its life's are folded into zone and type when it
 * leaves. Source: layout.h.
 */
#include "check_ctx.h"

#include <stdlib.h>

/* ---- I12 items out of the allocator */

enum sm_err sm_check_i12(struct sm_check *c) {
    uint64_t *out = calloc(c->c_header.h_max_zones, sizeof *out);
    if (out == NULL) {
        return SM_NO_MEMORY;
    }
    for (uint32_t n = 0; n < c->c_slabs; n++) {
        const struct sm_check_slab *s = &c->c_slab[n];
        bool runs = c->c_keg[s->s_keg].k_flags & SM_KEG_RUNS;
        for (uint32_t i = 0; i < s->s_items; i++) {
            uint64_t w = sm_load_rlx(&s->s_words[i]);
            /* A page run is published before it is counted: its tag, set in the operation that counts, tells. */
            bool counted = !runs || s->s_aux == NULL || sm_load_rlx(&s->s_aux[i]) != 0;
            if (SM_ST_KIND(w) >= SM_CONSTRUCTING && SM_ST_KIND(w) < SM_KIND_END && counted &&
                SM_ST_ZONE(w) < c->c_header.h_max_zones) {
                out[SM_ST_ZONE(w)]++;
            }
        }
    }
    for (uint32_t zone = 0; zone < c->c_header.h_max_zones; zone++) {
        const struct sm_zone_shm *z = &c->c_zones[zone];
        if (!sm_check_zone_live(c, zone)) {
            continue;
        }
        uint64_t allocs = sm_load_rlx(&z->z_allocs), frees = sm_load_rlx(&z->z_frees);
        for (uint32_t cpu = 0; cpu < c->c_header.h_max_cpus; cpu++) {
            if (sm_check_cpu_taken(c, cpu)) {
                const struct sm_cache_shm *s = sm_check_cache(c, cpu, zone);
                bool ours = sm_load_rlx(&s->c_zone_gen) == sm_load_rlx(&z->z_gen);
                allocs += ours ? sm_load_rlx(&s->c_allocs) : 0;
                frees += ours ? sm_load_rlx(&s->c_frees) : 0;
            }
        }
        if (allocs - frees != out[zone]) {
            sm_check_found(c, 12, "zone %u: %llu allocs - %llu frees is %lld, but %llu items are out", zone,
                           (unsigned long long)allocs, (unsigned long long)frees, (long long)(allocs - frees),
                           (unsigned long long)out[zone]);
        }
    }
    free(out);
    return SM_OK;
}

/* ---- I14 sleepers */

enum sm_err sm_check_i14(struct sm_check *c) {
    uint64_t *asleep = calloc(c->c_header.h_max_zones, sizeof *asleep);
    if (asleep == NULL) {
        return SM_NO_MEMORY;
    }
    for (uint32_t zone = 0; zone < c->c_header.h_max_zones; zone++) {
        uint32_t keg = sm_load_rlx(&c->c_zones[zone].z_keg);
        for (uint32_t cpu = 0; cpu < c->c_header.h_max_cpus && sm_check_zone_live(c, zone); cpu++) {
            if (keg < c->c_header.h_max_zones && sm_check_cpu_taken(c, cpu)) {
                asleep[keg] += sm_load_rlx(&sm_check_cache(c, cpu, zone)->c_waiters);
            }
        }
    }
    for (uint32_t keg = 0; keg < c->c_header.h_max_zones; keg++) {
        uint32_t counted = sm_load_rlx(&c->c_kegs[keg].k_waiters);
        if (c->c_keg[keg].k_live && counted != asleep[keg]) {
            sm_check_found(c, 14, "keg %u: counts %u sleepers, its CPUs have %llu", keg, counted,
                           (unsigned long long)asleep[keg]);
        }
    }
    free(asleep);
    return SM_OK;
}

/* ---- I15 malloc types */

struct type_use {
    uint64_t u_items, u_bytes;
};

static void recount_tags(struct sm_check *c, const struct sm_check_slab *s, struct type_use *use) {
    const struct sm_check_keg *k = &c->c_keg[s->s_keg];
    uint64_t bytes = k->k_flags & SM_KEG_RUNS ? (uint64_t)s->s_pages << SM_PAGE_SHIFT
                                              : sm_load_rlx(&c->c_kegs[s->s_keg].k_item_bytes);
    for (uint32_t i = 0; i < s->s_items; i++) {
        uint32_t tag = sm_load_rlx(&s->s_aux[i]);
        uint64_t w = sm_load_rlx(&s->s_words[i]);
        if (tag == 0) {
            continue;
        }
        if (SM_ST_KIND(w) == SM_FREE || SM_ST_KIND(w) == SM_CACHED || SM_TAG_TYPE(tag) >= c->c_header.h_max_types) {
            sm_check_found(c, 15, "item %#llx with state word %#llx has tag %#x",
                           (unsigned long long)sm_check_item_off(c, s, i), (unsigned long long)w, tag);
            continue;
        }
        use[SM_TAG_TYPE(tag)].u_items++;
        use[SM_TAG_TYPE(tag)].u_bytes += bytes;
    }
}

static void check_type(struct sm_check *c, uint32_t type, const struct type_use *use) {
    const struct sm_type_shm *t = &c->c_types[type];
    uint64_t allocs = sm_load_rlx(&t->ty_allocs), frees = sm_load_rlx(&t->ty_frees);
    uint64_t in = sm_load_rlx(&t->ty_bytes_in), out = sm_load_rlx(&t->ty_bytes_out);
    for (uint32_t cpu = 0; cpu < c->c_header.h_max_cpus; cpu++) {
        if (sm_check_cpu_taken(c, cpu)) {
            const struct sm_type_stat_shm *s = &c->c_type_stats[(uint64_t)cpu * c->c_header.h_max_types + type];
            allocs += sm_load_rlx(&s->ts_allocs);
            frees += sm_load_rlx(&s->ts_frees);
            in += sm_load_rlx(&s->ts_bytes_in);
            out += sm_load_rlx(&s->ts_bytes_out);
        }
    }
    if (allocs - frees != use->u_items || in - out != use->u_bytes) {
        sm_check_found(c, 15, "type %u: counts %lld in use with %lld bytes, the tags give %llu with %llu", type,
                       (long long)(allocs - frees), (long long)(in - out), (unsigned long long)use->u_items,
                       (unsigned long long)use->u_bytes);
    }
}

enum sm_err sm_check_i15(struct sm_check *c) {
    struct type_use *use = calloc(c->c_header.h_max_types, sizeof *use);
    if (use == NULL) {
        return SM_NO_MEMORY;
    }
    for (uint32_t n = 0; n < c->c_slabs; n++) {
        if (c->c_keg[c->c_slab[n].s_keg].k_flags & SM_KEG_TAGGED && c->c_slab[n].s_aux != NULL) {
            recount_tags(c, &c->c_slab[n], use);
        }
    }
    for (uint32_t type = 0; type < c->c_header.h_max_types && c->c_type_stats != NULL; type++) {
        check_type(c, type, &use[type]);
    }
    free(use);
    return SM_OK;
}
