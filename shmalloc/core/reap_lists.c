/* reap_lists.c - slab lists, buckets, zone lists, waiters and counters, anew from what the sweep left. Idempotent: reads
 * truth, writes derived data only.
 */
#include <limits.h>
#include <string.h>

#include "bucket.h"
#include "keg_list.h"
#include "malloc.h"
#include "reap_impl.h"

enum reap_lists_step { STEP_PAGES_REBUILT = 0x740, STEP_KEGS_REBUILT, STEP_BUCKETS_REBUILT, STEP_COUNTERS_REBUILT };

static int relink_slab(const struct sm_slab_ref *slab, void *ctx) {
    struct sm_reap_job *j = ctx;
    struct sm_arena *a = j->rj_arena;
    struct sm_keg_shm *k = &a->a_kegs[slab->sr_keg];
    uint32_t free_items = 0, hint = k->k_items;
    for (uint32_t i = k->k_items; i-- > 0;) {
        if (SM_ST_KIND(sm_load_rlx(&slab->sr_words[i])) == SM_FREE) {
            free_items++;
            hint = i;
        }
    }
    slab->sr_slab->s_free = (uint16_t)free_items;
    slab->sr_slab->s_hint = (uint16_t)hint;
    sm_keg_link(a, slab);
    k->k_slabs++;
    k->k_pages_used += slab->sr_pages;
    k->k_free += free_items;
    return 0;
}

/* Slabs that live CPUs are making: RESERVED pages whose block is a keg's. */
static void count_unborn(struct sm_arena *a) {
    for (uint64_t page = 0; page < a->a_ctl->ctl_frontier; page++) {
        uint64_t e = sm_load_rlx(&a->a_pagedir[page]);
        uint64_t meta = (uint64_t)SM_PG_BLK(e) * SM_BLOCK_UNIT >> SM_PAGE_SHIFT;
        if (SM_PG_KIND(e) != SM_PG_RESERVED || SM_PG_BLK(e) == 0 || meta >= a->a_ctl->ctl_meta_frontier) {
            continue;
        }
        uint32_t keg = SM_META_KEG(sm_load_rlx(&a->a_metadir[meta]));
        if (keg < a->a_header->h_max_zones) {
            a->a_kegs[keg].k_slabs += SM_PG_IDX(e) == 0;
            a->a_kegs[keg].k_pages_used++;
        }
    }
}

static void kegs_rebuild(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        struct sm_keg_shm *k = &a->a_kegs[i];
        k->k_partial = k->k_full = k->k_empty = k->k_empty_slabs = k->k_slabs = k->k_zones = 0;
        k->k_free = k->k_pages_used = 0;
        sm_store_rlx(&k->k_waiters, 0);
    }
    for (uint32_t id = 0; id < a->a_ctl->ctl_zones && id < a->a_header->h_max_zones; id++) {
        struct sm_zone_shm *zs = &a->a_zones[id];
        if (zs->z_state == SM_ZONE_FREE || zs->z_keg >= a->a_header->h_max_zones) {
            continue;
        }
        struct sm_keg_shm *k = &a->a_kegs[zs->z_keg];
        k->k_zones++;
        if (zs->z_state == SM_ZONE_DYING) {
            sm_store_rel(&zs->z_state, SM_ZONE_LIVE); /* whoever was destroying it begins again, if it lives */
        }
        for (uint32_t cpu = 0; cpu < a->a_ctl->ctl_cpu_high; cpu++) {
            if (a->a_cpus[cpu].cpu_state != SM_CPU_FREE && !j->rj_dead[cpu]) {
                sm_store_rlx(&k->k_waiters, k->k_waiters + sm_cache_of(a, cpu, id)->c_waiters);
            }
        }
    }
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        if (a->a_kegs[i].k_zones == 0) {
            sm_store_rel(&a->a_kegs[i].k_state, SM_KEG_FREE); /* made for a zone that was never published */
        }
    }
    (void)sm_slab_each(a, 0, relink_slab, j);
    count_unborn(a);
}

/* Buckets of live CPUs stay where they are; all others are free. */
static void buckets_rebuild(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    struct sm_control_shm *ctl = a->a_ctl;
    uint32_t n = ctl->ctl_bucket_next < a->a_header->h_max_buckets ? ctl->ctl_bucket_next : a->a_header->h_max_buckets;
    for (uint32_t i = 0; i < n; i++) {
        a->a_buckets[i].b_zone = 0;
    }
    for (uint32_t cpu = 0; cpu < ctl->ctl_cpu_high; cpu++) {
        for (uint32_t id = 0; a->a_cpus[cpu].cpu_state != SM_CPU_FREE && !j->rj_dead[cpu] && id < ctl->ctl_zones;
             id++) {
            const struct sm_cache_shm *c = sm_cache_of(a, cpu, id);
            const sm_off_t own[2] = {c->c_alloc, c->c_free};
            for (int i = 0; i < 2; i++) {
                if (own[i] != 0) {
                    sm_bucket_at(a, own[i])->b_zone = id + 1;
                }
            }
        }
    }
    ctl->ctl_bucket_free = 0;
    for (uint32_t i = n; i-- > 0;) {
        if (a->a_buckets[i].b_zone == 0) {
            a->a_buckets[i].b_count = 0;
            a->a_buckets[i].b_next = ctl->ctl_bucket_free;
            ctl->ctl_bucket_free = i + 1;
        }
    }
    for (uint32_t id = 0; id < ctl->ctl_zones; id++) {
        a->a_zones[id].z_full = a->a_zones[id].z_full_count = 0;
        a->a_zones[id].z_full_items = a->a_zones[id].z_imin = 0;
    }
}

/* Counters of the dead move to the zone; then allocs - frees is made to equal what is out (I12). */
static void counters_rebuild(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t id = 0; id < a->a_ctl->ctl_zones && id < a->a_header->h_max_zones; id++) {
        struct sm_zone_shm *zs = &a->a_zones[id];
        uint64_t out = 0;
        for (uint32_t cpu = 0; cpu < a->a_ctl->ctl_cpu_high; cpu++) {
            struct sm_cache_shm *c = sm_cache_of(a, cpu, id);
            if (a->a_cpus[cpu].cpu_state == SM_CPU_FREE) {
                continue;
            }
            if (j->rj_dead[cpu]) {
                struct sm_cache_shm was = *c;
                memset(c, 0, sizeof *c); /* A crash here loses counts of a dead CPU, and the sum is mended below. */
                zs->z_allocs += was.c_allocs;
                zs->z_frees += was.c_frees;
                zs->z_fails += was.c_fails;
                zs->z_sleeps += was.c_sleeps;
            }
            out += c->c_allocs - c->c_frees;
        }
        out += zs->z_allocs - zs->z_frees;
        if ((int64_t)(out - j->rj_live[id]) >= 0) {
            zs->z_frees += out - j->rj_live[id];
        } else {
            zs->z_allocs += j->rj_live[id] - out;
        }
    }
}

static void level(uint64_t *in, uint64_t *out, uint64_t have, uint64_t want) {
    if ((int64_t)(have - want) >= 0) {
        *out += have - want;
    } else {
        *in += want - have;
    }
}

static void types_rebuild(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t cpu = 0; cpu < a->a_ctl->ctl_cpu_high; cpu++) {
        if (a->a_cpus[cpu].cpu_state != SM_CPU_FREE && j->rj_dead[cpu]) {
            sm_malloc_fold(a, cpu);
        }
    }
    for (uint32_t t = 0; t < a->a_ctl->ctl_types && t < a->a_header->h_max_types; t++) {
        struct sm_type_shm *ty = &a->a_types[t];
        uint64_t items = ty->ty_allocs - ty->ty_frees, bytes = ty->ty_bytes_in - ty->ty_bytes_out;
        for (uint32_t cpu = 0; cpu < a->a_ctl->ctl_cpu_high; cpu++) {
            const struct sm_type_stat_shm *ts = &a->a_type_stats[(uint64_t)cpu * a->a_header->h_max_types + t];
            if (a->a_cpus[cpu].cpu_state != SM_CPU_FREE) {
                items += ts->ts_allocs - ts->ts_frees;
                bytes += ts->ts_bytes_in - ts->ts_bytes_out;
            }
        }
        level(&ty->ty_allocs, &ty->ty_frees, items, j->rj_type_items[t]);
        level(&ty->ty_bytes_in, &ty->ty_bytes_out, bytes, j->rj_type_bytes[t]);
    }
}

void sm_reap_lists(struct sm_reap_job *j) {
    j->rj_error = sm_page_rebuild(j->rj_arena, j->rj_dead);
    if (j->rj_error == SM_OK) {
        sm_crash_point(j->rj_arena, STEP_PAGES_REBUILT);
        kegs_rebuild(j);
        sm_crash_point(j->rj_arena, STEP_KEGS_REBUILT);
        buckets_rebuild(j);
        sm_crash_point(j->rj_arena, STEP_BUCKETS_REBUILT);
        counters_rebuild(j);
        sm_crash_point(j->rj_arena, STEP_COUNTERS_REBUILT);
        types_rebuild(j);
    }
}
