/* check_items.c - I3, I4, I5, I7: what the state words say, and the slab lists and keg counters derived from them.
 * Owns nothing. Every list walk is bounded by the slabs it may hold. Source: layout.h.
 */
#include "check_ctx.h"

#include <stdlib.h>

static const char *const kind_names[SM_KIND_END] = {"none", "FREE",   "CACHED",   "CONSTRUCTING",
                                                    "HELD", "QUEUED", "TICKETED", "ATTACHED"};

static const char *kind_name(uint64_t word) {
    return SM_ST_KIND(word) < SM_KIND_END ? kind_names[SM_ST_KIND(word)] : "none";
}

/* ---- I3 state words */

static void check_word(struct sm_check *c, const struct sm_check_slab *s, uint32_t i) {
    uint64_t w = sm_load_rlx(&s->s_words[i]);
    sm_off_t item = sm_check_item_off(c, s, i);
    enum sm_kind kind = SM_ST_KIND(w);
    uint32_t zone = SM_ST_ZONE(w), cpu = SM_ST_CPU(w);
    if (kind < SM_FREE || kind >= SM_KIND_END) {
        sm_check_found(c, 3, "item %#llx: state word %#llx has no legal kind", (unsigned long long)item,
                       (unsigned long long)w);
        return;
    }
    if (kind == SM_FREE) {
        return;
    }
    if (!sm_check_zone_live(c, zone)) {
        sm_check_found(c, 3, "item %#llx is %s for zone %u, which does not exist", (unsigned long long)item,
                       kind_name(w), zone);
    } else if (sm_load_rlx(&c->c_zones[zone].z_keg) != s->s_keg) {
        sm_check_found(c, 3, "item %#llx is %s for zone %u, which is not of its keg %u", (unsigned long long)item,
                       kind_name(w), zone, s->s_keg);
    }
    if (kind == SM_QUEUED && !sm_check_queue_live(c, cpu)) {
        sm_check_found(c, 3, "item %#llx is QUEUED on queue %u, which does not exist", (unsigned long long)item, cpu);
    }
    if ((kind == SM_HELD || kind == SM_CONSTRUCTING || kind == SM_TICKETED) && cpu != SM_CPU_NONE &&
        cpu >= c->c_header.h_max_cpus) {
        sm_check_found(c, 3, "item %#llx is %s by cpu %u of %u", (unsigned long long)item, kind_name(w), cpu,
                       c->c_header.h_max_cpus);
    } else if ((kind == SM_HELD || kind == SM_CONSTRUCTING) && cpu != SM_CPU_NONE && !sm_check_cpu_taken(c, cpu)) {
        sm_check_found(c, 3, "item %#llx is %s by cpu %u, whose slot is free", (unsigned long long)item, kind_name(w),
                       cpu);
    } else if (kind == SM_CONSTRUCTING && cpu == SM_CPU_NONE) { /* nobody would ever finish or free it */
        sm_check_found(c, 3, "item %#llx is CONSTRUCTING by no CPU", (unsigned long long)item);
    }
}

enum sm_err sm_check_i3(struct sm_check *c) {
    for (uint32_t n = 0; n < c->c_slabs; n++) {
        for (uint32_t i = 0; i < c->c_slab[n].s_items; i++) {
            check_word(c, &c->c_slab[n], i);
        }
    }
    return SM_OK;
}

/* ---- I4 slab headers and lists */

enum { LIST_PARTIAL = 1, LIST_FULL = 2, LIST_EMPTY = 4 };
static const char *const list_names[] = {
    [0] = "no", [LIST_PARTIAL] = "partial", [LIST_FULL] = "full", [LIST_EMPTY] = "empty"};

static uint32_t list_due(const struct sm_check_slab *s) {
    return s->s_free == 0 ? LIST_FULL : s->s_free == s->s_items ? LIST_EMPTY : LIST_PARTIAL;
}

/* Walks one list of a keg. A slab met twice ends the walk, so all walks together are linear. */
static void walk_list(struct sm_check *c, uint32_t keg, uint32_t head, uint32_t list) {
    uint32_t prev = 0;
    for (uint32_t at = head; at != 0;) {
        uint32_t number = at <= c->c_frontier ? c->c_slab_of[at - 1] : 0;
        struct sm_check_slab *s = number != 0 ? &c->c_slab[number - 1] : NULL;
        if (s == NULL || s->s_page != at - 1 || s->s_keg != keg) {
            sm_check_found(c, 4, "keg %u: its %s list names page %u, where no slab of it begins", keg, list_names[list],
                           at - 1);
            return;
        }
        if (s->s_lists != 0) {
            sm_check_found(c, 4, "slab at page %u of keg %u is on two lists, or twice on the %s list", at - 1, keg,
                           list_names[list]);
            s->s_lists |= list;
            return;
        }
        s->s_lists = list;
        uint32_t back = sm_load_rlx(&c->c_links[at - 1].pl_prev);
        if (back != prev) {
            sm_check_found(c, 4, "slab at page %u of keg %u: its back link says %u, the list came from %u", at - 1, keg,
                           back, prev);
        }
        prev = at;
        at = sm_load_rlx(&c->c_links[at - 1].pl_next);
    }
}

static void check_slab(struct sm_check *c, const struct sm_check_slab *s) {
    uint32_t free_words = sm_load_rlx(&s->s_shared->s_free), hint = sm_load_rlx(&s->s_shared->s_hint);
    uint32_t pages = sm_load_rlx(&s->s_shared->s_pages);
    if (free_words != s->s_free) {
        sm_check_found(c, 4, "slab at page %u of keg %u: header says %u free, %u words are FREE", s->s_page, s->s_keg,
                       free_words, s->s_free);
    }
    if (pages != s->s_pages) {
        sm_check_found(c, 4, "slab at page %u of keg %u: header says %u pages, it has %u", s->s_page, s->s_keg, pages,
                       s->s_pages);
    }
    for (uint32_t i = 0; i < s->s_items && i < hint; i++) {
        if (SM_ST_KIND(sm_load_rlx(&s->s_words[i])) == SM_FREE) {
            sm_check_found(c, 4, "slab at page %u of keg %u: word %u is FREE below the hint %u", s->s_page, s->s_keg, i,
                           hint);
            break;
        }
    }
    if (s->s_lists == 0) {
        sm_check_found(c, 4, "slab at page %u of keg %u: on no list, %u of %u free: belongs on the %s list", s->s_page,
                       s->s_keg, s->s_free, s->s_items, list_names[list_due(s)]);
    } else if ((s->s_lists & (s->s_lists - 1)) == 0 && s->s_lists != 0 && s->s_lists != list_due(s)) {
        sm_check_found(c, 4, "slab at page %u of keg %u: on the %s list, %u of %u free: belongs on the %s list",
                       s->s_page, s->s_keg, list_names[s->s_lists], s->s_free, s->s_items, list_names[list_due(s)]);
    }
}

enum sm_err sm_check_i4(struct sm_check *c) {
    for (uint32_t k = 0; k < c->c_header.h_max_zones; k++) {
        if (c->c_keg[k].k_live) {
            walk_list(c, k, sm_load_rlx(&c->c_kegs[k].k_partial), LIST_PARTIAL);
            walk_list(c, k, sm_load_rlx(&c->c_kegs[k].k_full), LIST_FULL);
            walk_list(c, k, sm_load_rlx(&c->c_kegs[k].k_empty), LIST_EMPTY);
        }
    }
    for (uint32_t n = 0; n < c->c_slabs; n++) {
        check_slab(c, &c->c_slab[n]);
    }
    return SM_OK;
}

/* ---- I5 keg counters */

static void check_keg(struct sm_check *c, uint32_t id) {
    const struct sm_check_keg *k = &c->c_keg[id];
    const struct sm_keg_shm *s = &c->c_kegs[id];
    if (!k->k_sane) {
        sm_check_found(c, 5, "keg %u: %u items of %u bytes in %u pages with state blocks of %u bytes cannot be", id,
                       k->k_items, k->k_stride_bytes, k->k_pages, k->k_block_bytes);
        return;
    }
    uint64_t slabs = k->k_slabs + k->k_reserved_slabs;
    uint64_t have_free = sm_load_rlx(&s->k_free), have_pages = sm_load_rlx(&s->k_pages_used);
    if (sm_load_rlx(&s->k_slabs) != slabs) {
        sm_check_found(c, 5, "keg %u: counts %u slabs, there are %llu (%llu of them being made)", id,
                       sm_load_rlx(&s->k_slabs), (unsigned long long)slabs, (unsigned long long)k->k_reserved_slabs);
    }
    if (sm_load_rlx(&s->k_empty_slabs) != k->k_empty_slabs) {
        sm_check_found(c, 5, "keg %u: counts %u empty slabs, there are %llu", id, sm_load_rlx(&s->k_empty_slabs),
                       (unsigned long long)k->k_empty_slabs);
    }
    if (have_free != k->k_free) {
        sm_check_found(c, 5, "keg %u: counts %llu free items, %llu words are FREE", id, (unsigned long long)have_free,
                       (unsigned long long)k->k_free);
    }
    if (have_pages != k->k_slab_pages) {
        sm_check_found(c, 5, "keg %u: counts %llu pages, its slabs have %llu", id, (unsigned long long)have_pages,
                       (unsigned long long)k->k_slab_pages);
    }
}

enum sm_err sm_check_i5(struct sm_check *c) {
    for (uint32_t k = 0; k < c->c_header.h_max_zones; k++) {
        if (c->c_keg[k].k_live) {
            check_keg(c, k);
        }
    }
    return SM_OK;
}

/* ---- I7 one place for each item */

/* Marks every item named by a bucket in use. */
static void mark_buckets(struct sm_check *c, uint64_t *in_bucket) {
    struct sm_check_item item;
    for (uint32_t id = 0; id < c->c_bucket_count; id++) {
        const struct sm_check_bucket *b = &c->c_bucket[id];
        if (b->b_place != SM_BK_CACHE && b->b_place != SM_BK_FULL) {
            continue;
        }
        for (uint32_t i = 0; i < b->b_count && i < SM_BUCKET_ITEMS; i++) {
            sm_off_t off = sm_load_rlx(&c->c_buckets[id].b_entry[i].e_item);
            if (sm_check_item_at(c, off, &item) && sm_check_mark(in_bucket, item.i_number)) {
                sm_check_found(c, 7, "item %#llx is in two places of buckets, one of them in bucket %u",
                               (unsigned long long)off, id);
            }
        }
    }
}

enum sm_err sm_check_i7(struct sm_check *c) {
    uint64_t *in_bucket = sm_check_bits(c->c_items);
    uint64_t *in_queue = sm_check_bits(c->c_items);
    if (in_bucket == NULL || in_queue == NULL) {
        free(in_bucket);
        free(in_queue);
        return SM_NO_MEMORY;
    }
    mark_buckets(c, in_bucket);
    sm_check_mark_queued(c, in_queue);
    for (uint32_t n = 0; n < c->c_slabs; n++) {
        const struct sm_check_slab *s = &c->c_slab[n];
        for (uint32_t i = 0; i < s->s_items; i++) {
            uint64_t w = sm_load_rlx(&s->s_words[i]);
            bool bucketed = sm_check_bit(in_bucket, s->s_first + i), queued = sm_check_bit(in_queue, s->s_first + i);
            sm_off_t off = sm_check_item_off(c, s, i);
            if (SM_ST_KIND(w) == SM_CACHED && !bucketed) {
                sm_check_found(c, 7, "item %#llx is CACHED for zone %u but in no bucket", (unsigned long long)off,
                               SM_ST_ZONE(w));
            }
            if (SM_ST_KIND(w) != SM_CACHED && bucketed) {
                sm_check_found(c, 7, "item %#llx is %s and also in a bucket", (unsigned long long)off, kind_name(w));
            }
            if (SM_ST_KIND(w) != SM_QUEUED && queued) {
                sm_check_found(c, 7, "item %#llx is %s and also in a queue", (unsigned long long)off, kind_name(w));
            }
        }
    }
    free(in_bucket);
    free(in_queue);
    return SM_OK;
}
