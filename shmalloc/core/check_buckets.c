/* check_buckets.c - I6, I8, I13: buckets, what their entries name, and what a free CPU slot may not have.
 * Owns nothing; where each bucket is was found by the survey. Source: layout.h.
 */
#include "check_ctx.h"

#include <stdlib.h>

/* ---- I6 bucket entries */

static void check_entry(struct sm_check *c, uint32_t id, uint32_t i) {
    const struct sm_entry *e = &c->c_buckets[id].b_entry[i];
    sm_off_t off = sm_load_rlx(&e->e_item), word = sm_load_rlx(&e->e_word);
    uint32_t zone = c->c_bucket[id].b_zone;
    struct sm_check_item item;
    if (!sm_check_item_at(c, off, &item)) {
        sm_check_found(c, 6, "bucket %u entry %u names %#llx, where no item begins", id, i, (unsigned long long)off);
        return;
    }
    uint64_t w = sm_load_rlx(item.i_word);
    sm_off_t own = (sm_off_t)((const uint8_t *)item.i_word - c->c_base);
    if (word != own) {
        sm_check_found(c, 6, "bucket %u entry %u: the word of item %#llx is at %#llx, not %#llx", id, i,
                       (unsigned long long)off, (unsigned long long)own, (unsigned long long)word);
    }
    if (SM_ST_KIND(w) != SM_CACHED || SM_ST_ZONE(w) != zone) {
        sm_check_found(c, 6, "bucket %u of zone %u entry %u: item %#llx has state word %#llx, not CACHED for it", id,
                       zone, i, (unsigned long long)off, (unsigned long long)w);
    } else if (c->c_bucket[id].b_place == SM_BK_CACHE && SM_ST_CPU(w) != c->c_bucket[id].b_cpu) {
        sm_check_found(c, 6, "bucket %u in the cache of cpu %u entry %u: item %#llx is CACHED under cpu %u", id,
                       c->c_bucket[id].b_cpu, i, (unsigned long long)off, SM_ST_CPU(w));
    }
}

enum sm_err sm_check_i6(struct sm_check *c) {
    for (uint32_t id = 0; id < c->c_bucket_count; id++) {
        const struct sm_check_bucket *b = &c->c_bucket[id];
        if (b->b_place != SM_BK_CACHE && b->b_place != SM_BK_FULL) {
            continue;
        }
        if (b->b_count > SM_BUCKET_ITEMS) {
            sm_check_found(c, 6, "bucket %u of zone %u counts %u entries, more than its %d", id, b->b_zone, b->b_count,
                           SM_BUCKET_ITEMS);
        }
        for (uint32_t i = 0; i < b->b_count && i < SM_BUCKET_ITEMS; i++) {
            check_entry(c, id, i);
        }
    }
    return SM_OK;
}

/* ---- I8 one place for each bucket */

static const char *const place_names[] = {"nowhere", "a cache", "a zone's full list", "the free list"};

static void check_cache_bucket(struct sm_check *c, uint32_t cpu, uint32_t zone, sm_off_t off, uint32_t count) {
    if (off == 0 ? count != 0 : sm_check_bucket_at(c, off) == UINT32_MAX) {
        sm_check_found(c, 8, "cache of cpu %u for zone %u: %u entries in %#llx, which is no bucket", cpu, zone, count,
                       (unsigned long long)off);
    }
}

static void check_cache(struct sm_check *c, uint32_t cpu, uint32_t zone) {
    const struct sm_cache_shm *s = sm_check_cache(c, cpu, zone);
    check_cache_bucket(c, cpu, zone, sm_load_rlx(&s->c_alloc), sm_load_rlx(&s->c_alloc_n));
    check_cache_bucket(c, cpu, zone, sm_load_rlx(&s->c_free), sm_load_rlx(&s->c_free_n));
}

/* What the survey saw on a zone's list, against the zone's own counters. */
static void check_full_lists(struct sm_check *c, const uint64_t *buckets, const uint64_t *items) {
    for (uint32_t zone = 0; zone < c->c_header.h_max_zones; zone++) {
        if (!sm_check_zone_live(c, zone)) {
            continue;
        }
        uint32_t count = sm_load_rlx(&c->c_zones[zone].z_full_count), head = sm_load_rlx(&c->c_zones[zone].z_full);
        uint64_t full_items = sm_load_rlx(&c->c_zones[zone].z_full_items);
        if (head > c->c_bucket_count) {
            sm_check_found(c, 8, "zone %u: its full list begins with bucket %u of %u", zone, head - 1,
                           c->c_bucket_count);
        }
        if (count != buckets[zone] || full_items != items[zone]) {
            sm_check_found(c, 8, "zone %u: counts %u full buckets with %llu items, its list has %llu with %llu", zone,
                           count, (unsigned long long)full_items, (unsigned long long)buckets[zone],
                           (unsigned long long)items[zone]);
        }
    }
}

static void check_bucket(struct sm_check *c, uint32_t id) {
    const struct sm_check_bucket *b = &c->c_bucket[id];
    uint32_t mark = sm_load_rlx(&c->c_buckets[id].b_zone), next = sm_load_rlx(&c->c_buckets[id].b_next);
    if (b->b_seen == 0) {
        sm_check_found(c, 8, "bucket %u (zone mark %u) is in no cache and on no list", id, mark);
        return;
    }
    if (b->b_seen > 1) {
        sm_check_found(c, 8, "bucket %u is in %u places, one of them %s", id, b->b_seen, place_names[b->b_place]);
    }
    if (mark != (b->b_place == SM_BK_FREE ? 0 : b->b_zone + 1)) {
        sm_check_found(c, 8, "bucket %u is in %s but its zone mark is %u", id, place_names[b->b_place], mark);
    }
    if (b->b_place != SM_BK_CACHE && next > c->c_bucket_count) {
        sm_check_found(c, 8, "bucket %u in %s is followed by bucket %u of %u", id, place_names[b->b_place], next - 1,
                       c->c_bucket_count);
    }
}

enum sm_err sm_check_i8(struct sm_check *c) {
    uint64_t *buckets = calloc(c->c_header.h_max_zones, sizeof(uint64_t));
    uint64_t *items = calloc(c->c_header.h_max_zones, sizeof(uint64_t));
    if (buckets != NULL && items != NULL) {
        for (uint32_t cpu = 0; cpu < c->c_header.h_max_cpus; cpu++) {
            for (uint32_t zone = 0; zone < c->c_header.h_max_zones && sm_check_cpu_taken(c, cpu); zone++) {
                if (sm_check_zone_live(c, zone)) {
                    check_cache(c, cpu, zone);
                }
            }
        }
        for (uint32_t id = 0; id < c->c_bucket_count; id++) {
            check_bucket(c, id);
            if (c->c_bucket[id].b_place == SM_BK_FULL) {
                buckets[c->c_bucket[id].b_zone]++;
                items[c->c_bucket[id].b_zone] += c->c_bucket[id].b_count;
            }
        }
        if (sm_load_rlx(&c->c_ctl->ctl_bucket_free) > c->c_bucket_count) {
            sm_check_found(c, 8, "the free list begins with bucket %u of %u",
                           sm_load_rlx(&c->c_ctl->ctl_bucket_free) - 1, c->c_bucket_count);
        }
        check_full_lists(c, buckets, items);
    }
    enum sm_err e = buckets != NULL && items != NULL ? SM_OK : SM_NO_MEMORY;
    free(buckets);
    free(items);
    return e;
}

/* ---- I13 free slots */

static void check_free_slot(struct sm_check *c, uint32_t cpu, uint64_t items) {
    uint64_t op = sm_load_rlx(&c->c_cpus[cpu].cpu_op);
    if (op != 0) {
        sm_check_found(c, 13, "cpu %u: its slot is free but its op word is %#llx", cpu, (unsigned long long)op);
    }
    if (items != 0) {
        sm_check_found(c, 13, "cpu %u: its slot is free but it holds %llu items", cpu, (unsigned long long)items);
    }
    /* Rows of slots that were never used are holes: reading them would fill them. */
    for (uint32_t zone = 0; zone < c->c_header.h_max_zones && cpu < sm_load_rlx(&c->c_ctl->ctl_cpu_high); zone++) {
        const struct sm_cache_shm *s = sm_check_cache(c, cpu, zone);
        if (sm_load_rlx(&s->c_alloc) != 0 || sm_load_rlx(&s->c_free) != 0) {
            sm_check_found(c, 13, "cpu %u: its slot is free but its cache for zone %u has a bucket", cpu, zone);
        }
    }
}

enum sm_err sm_check_i13(struct sm_check *c) {
    uint64_t *held = calloc(c->c_header.h_max_cpus, sizeof *held);
    if (held == NULL) {
        return SM_NO_MEMORY;
    }
    for (uint32_t n = 0; n < c->c_slabs; n++) {
        for (uint32_t i = 0; i < c->c_slab[n].s_items; i++) {
            uint64_t w = sm_load_rlx(&c->c_slab[n].s_words[i]);
            if ((SM_ST_KIND(w) == SM_HELD || SM_ST_KIND(w) == SM_CONSTRUCTING) &&
                SM_ST_CPU(w) < c->c_header.h_max_cpus) {
                held[SM_ST_CPU(w)]++;
            }
        }
    }
    for (uint32_t cpu = 0; cpu < c->c_header.h_max_cpus; cpu++) {
        if (!sm_check_cpu_taken(c, cpu)) {
            check_free_slot(c, cpu, held[cpu]);
        }
    }
    free(held);
    return SM_OK;
}
