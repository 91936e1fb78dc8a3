/* check_survey.c - one pass over kegs, pages and buckets that the invariant checks build on: which slabs there are,
 * which page belongs to which, how many words are FREE, where each bucket was seen.
 * Owns the tables of struct sm_check. Reports nothing: what does not fit a table is left out, and the invariant that it
 * breaks is named by its own function.
 */
#include "check_ctx.h"

#include <stdlib.h>
#include <string.h>

uint64_t *sm_check_bits(uint64_t count) {
    return calloc(count / 64 + 1, sizeof(uint64_t));
}

sm_off_t sm_check_item_off(const struct sm_check *c, const struct sm_check_slab *s, uint32_t index) {
    return c->c_data_off + ((uint64_t)s->s_page << SM_PAGE_SHIFT) + (uint64_t)index * c->c_keg[s->s_keg].k_stride_bytes;
}

bool sm_check_item_at(const struct sm_check *c, sm_off_t off, struct sm_check_item *out) {
    if (off < c->c_data_off || off - c->c_data_off >= (uint64_t)c->c_frontier << SM_PAGE_SHIFT) {
        return false;
    }
    uint32_t number = c->c_slab_of[(off - c->c_data_off) >> SM_PAGE_SHIFT];
    if (number == 0) {
        return false;
    }
    const struct sm_check_slab *s = &c->c_slab[number - 1];
    uint64_t in = off - sm_check_item_off(c, s, 0);
    uint64_t stride = c->c_keg[s->s_keg].k_stride_bytes;
    uint64_t i = in / stride;
    if (i * stride != in || i >= s->s_items) {
        return false;
    }
    out->i_slab = s;
    out->i_index = (uint32_t)i;
    out->i_word = s->s_words + i;
    out->i_number = s->s_first + i;
    return true;
}

bool sm_check_block_fits(const struct sm_check *c, uint32_t keg, uint32_t block) {
    const struct sm_check_keg *k = &c->c_keg[keg];
    uint64_t start = (uint64_t)block * SM_BLOCK_UNIT;
    uint64_t page = start >> SM_PAGE_SHIFT;
    if (page >= c->c_meta_frontier) {
        return false;
    }
    uint64_t e = sm_load_rlx(&c->c_metadir[page]);
    if (e == 0 || SM_META_KEG(e) != keg || SM_META_IDX(e) >= k->k_chunk_pages || SM_META_IDX(e) > page) {
        return false;
    }
    uint64_t chunk = (page - SM_META_IDX(e)) << SM_PAGE_SHIFT;
    uint64_t end = chunk + ((uint64_t)k->k_chunk_pages << SM_PAGE_SHIFT);
    return (start - chunk) % k->k_block_bytes == 0 && start + k->k_block_bytes <= end &&
           end <= (uint64_t)c->c_meta_frontier << SM_PAGE_SHIFT;
}

/* ---- kegs */

static bool keg_is_sane(const struct sm_check_keg *k) {
    uint64_t slab = (uint64_t)k->k_pages << SM_PAGE_SHIFT;
    bool runs = k->k_flags & SM_KEG_RUNS, off_page = k->k_flags & SM_KEG_OFFPAGE;
    uint64_t hdr_room = off_page ? k->k_block_bytes : slab;
    return k->k_items > 0 && k->k_items <= UINT16_MAX && k->k_pages > 0 && k->k_pages <= UINT32_MAX >> SM_PAGE_SHIFT &&
           k->k_stride_bytes > 0 &&
           (runs ? k->k_items == 1 && off_page : (uint64_t)k->k_items * k->k_stride_bytes <= slab) &&
           k->k_chunk_pages > 0 && k->k_chunk_pages <= SM_META_CHUNK_MAX && k->k_block_bytes > 0 &&
           k->k_block_bytes % SM_BLOCK_UNIT == 0 && k->k_block_bytes <= k->k_chunk_pages << SM_PAGE_SHIFT &&
           k->k_words_off % 8 == 0 && k->k_words_off + (uint64_t)k->k_items * 8 <= k->k_block_bytes &&
           k->k_aux_off % 4 == 0 &&
           (k->k_aux_off == 0 || k->k_aux_off + (uint64_t)k->k_items * 4 <= k->k_block_bytes) &&
           k->k_trace_off % 8 == 0 &&
           (k->k_trace_off == 0 ||
            k->k_trace_off + (uint64_t)k->k_items * sizeof(struct sm_trace_shm) <= k->k_block_bytes) &&
           k->k_hdr_off % 4 == 0 && k->k_hdr_off + sizeof(struct sm_slab_shm) <= hdr_room;
}

static enum sm_err survey_kegs(struct sm_check *c) {
    c->c_keg = calloc(c->c_header.h_max_zones, sizeof *c->c_keg);
    if (c->c_keg == NULL) {
        return SM_NO_MEMORY;
    }
    for (uint32_t i = 0; i < c->c_header.h_max_zones; i++) {
        const struct sm_keg_shm *s = &c->c_kegs[i];
        struct sm_check_keg *k = &c->c_keg[i];
        k->k_live = sm_load_acq(&s->k_state) == SM_KEG_LIVE;
        k->k_flags = sm_load_rlx(&s->k_flags);
        k->k_items = sm_load_rlx(&s->k_items);
        k->k_pages = sm_load_rlx(&s->k_pages);
        k->k_stride_bytes = sm_load_rlx(&s->k_stride_bytes);
        k->k_block_bytes = sm_load_rlx(&s->k_block_bytes);
        k->k_words_off = sm_load_rlx(&s->k_words_off);
        k->k_aux_off = sm_load_rlx(&s->k_aux_off);
        k->k_trace_off = sm_load_rlx(&s->k_trace_off);
        k->k_hdr_off = sm_load_rlx(&s->k_hdr_off);
        k->k_chunk_pages = sm_load_rlx(&s->k_chunk_pages);
        k->k_sane = k->k_live && keg_is_sane(k);
    }
    return SM_OK;
}

/* ---- slabs */

static void count_free(struct sm_check_slab *s) {
    for (uint32_t i = 0; i < s->s_items; i++) {
        s->s_free += SM_ST_KIND(sm_load_rlx(&s->s_words[i])) == SM_FREE;
    }
}

/* The slab whose head entry is e at `page`; false when following it would leave the tables. */
static bool slab_from_entry(const struct sm_check *c, uint32_t page, uint64_t e, struct sm_check_slab *s) {
    uint32_t keg = SM_PG_KEG(e), block = SM_PG_BLK(e);
    if (keg >= c->c_header.h_max_zones || !c->c_keg[keg].k_sane || !sm_check_block_fits(c, keg, block)) {
        return false;
    }
    const struct sm_check_keg *k = &c->c_keg[keg];
    const uint8_t *b = c->c_base + c->c_header.h_region[SM_R_META].r_off + (uint64_t)block * SM_BLOCK_UNIT;
    const uint8_t *mem = c->c_base + c->c_data_off + ((uint64_t)page << SM_PAGE_SHIFT);
    uint32_t pages = k->k_pages;
    bool off_page = k->k_flags & SM_KEG_OFFPAGE;
    if (!off_page && pages > c->c_frontier - page) {
        return false;
    }
    *s = (struct sm_check_slab){.s_page = page, .s_keg = keg, .s_block = block, .s_items = k->k_items};
    s->s_shared = (const struct sm_slab_shm *)((off_page ? b : mem) + k->k_hdr_off);
    if (k->k_flags & SM_KEG_RUNS) {
        pages = sm_load_rlx(&s->s_shared->s_pages);
    }
    if (pages == 0 || pages > c->c_frontier - page) {
        return false;
    }
    s->s_pages = pages;
    s->s_words = (const uint64_t *)(b + k->k_words_off);
    s->s_aux = k->k_aux_off != 0 ? (const uint32_t *)(b + k->k_aux_off) : NULL;
    s->s_trace = k->k_trace_off != 0 ? (const struct sm_trace_shm *)(b + k->k_trace_off) : NULL;
    return true;
}

/* Slabs never overlap in the survey, which keeps it linear: pages up to the next head are looked at once. */
static bool another_head_inside(const struct sm_check *c, const struct sm_check_slab *s) {
    for (uint32_t i = 1; i < s->s_pages; i++) {
        uint64_t e = sm_load_rlx(&c->c_pagedir[s->s_page + i]);
        if (SM_PG_KIND(e) == SM_PG_SLAB && SM_PG_IDX(e) == 0) {
            return true;
        }
    }
    return false;
}

/* A slab that is being made: its block tells the keg. Counts towards k_slabs (the limit was checked for it). */
static void count_reserved(struct sm_check *c, uint32_t page, uint64_t e) {
    uint64_t meta_page = ((uint64_t)SM_PG_BLK(e) * SM_BLOCK_UNIT) >> SM_PAGE_SHIFT;
    uint64_t m = meta_page < c->c_meta_frontier ? sm_load_rlx(&c->c_metadir[meta_page]) : 0;
    if (m == 0 || SM_META_KEG(m) >= c->c_header.h_max_zones || !c->c_keg[SM_META_KEG(m)].k_sane) {
        return; /* pages without a block: a queue's ring in the making */
    }
    struct sm_check_keg *k = &c->c_keg[SM_META_KEG(m)];
    if (!sm_check_block_fits(c, SM_META_KEG(m), SM_PG_BLK(e))) {
        return;
    }
    uint32_t n = 1;
    while (page + n < c->c_frontier) {
        uint64_t f = sm_load_rlx(&c->c_pagedir[page + n]);
        if (SM_PG_KIND(f) != SM_PG_RESERVED || SM_PG_IDX(f) == 0) {
            break;
        }
        n++;
    }
    k->k_reserved_slabs++;
    k->k_slab_pages += n;
    k->k_blocks_used++;
}

static enum sm_err survey_slabs(struct sm_check *c) {
    uint32_t heads = 0;
    for (uint32_t p = 0; p < c->c_frontier; p++) {
        uint64_t e = sm_load_rlx(&c->c_pagedir[p]);
        heads += SM_PG_KIND(e) == SM_PG_SLAB && SM_PG_IDX(e) == 0;
    }
    c->c_slab = calloc((size_t)heads + 1, sizeof *c->c_slab);
    c->c_slab_of = calloc((size_t)c->c_frontier + 1, sizeof *c->c_slab_of);
    if (c->c_slab == NULL || c->c_slab_of == NULL) {
        return SM_NO_MEMORY;
    }
    for (uint32_t p = 0; p < c->c_frontier; p++) {
        uint64_t e = sm_load_acq(&c->c_pagedir[p]); /* pairs with the release that published the slab */
        if (SM_PG_IDX(e) != 0) {
            continue;
        }
        if (SM_PG_KIND(e) == SM_PG_RESERVED) {
            count_reserved(c, p, e);
        }
        struct sm_check_slab *s = &c->c_slab[c->c_slabs];
        if (SM_PG_KIND(e) != SM_PG_SLAB || c->c_slabs >= heads || !slab_from_entry(c, p, e, s) ||
            another_head_inside(c, s)) {
            continue;
        }
        struct sm_check_keg *k = &c->c_keg[s->s_keg];
        count_free(s);
        s->s_first = c->c_items;
        c->c_items += s->s_items;
        k->k_slabs++;
        k->k_slab_pages += s->s_pages;
        k->k_blocks_used++;
        k->k_free += s->s_free;
        k->k_empty_slabs += s->s_free == s->s_items;
        c->c_slabs++;
        for (uint32_t i = 0; i < s->s_pages; i++) {
            c->c_slab_of[p + i] = c->c_slabs;
        }
        p += s->s_pages - 1;
    }
    return SM_OK;
}

/* ---- buckets */

uint32_t sm_check_bucket_at(const struct sm_check *c, sm_off_t off) {
    uint64_t first = c->c_header.h_region[SM_R_BUCKETS].r_off;
    if (off < first || (off - first) % sizeof(struct sm_bucket_shm) != 0) {
        return UINT32_MAX;
    }
    uint64_t id = (off - first) / sizeof(struct sm_bucket_shm);
    return id < c->c_bucket_count ? (uint32_t)id : UINT32_MAX;
}

/* True when this is the first time. */
static bool see_bucket(struct sm_check *c, uint32_t id, enum sm_check_place place, uint32_t zone, uint32_t cpu,
                       uint32_t count) {
    struct sm_check_bucket *b = &c->c_bucket[id];
    if (b->b_seen++ != 0) {
        return false;
    }
    b->b_place = (uint8_t)place;
    b->b_zone = zone;
    b->b_cpu = cpu;
    b->b_count = count;
    return true;
}

/* Lists end at the first bucket that was seen before, so a cycle or a shared tail ends them too. */
static void survey_list(struct sm_check *c, uint32_t head, enum sm_check_place place, uint32_t zone) {
    for (uint32_t next = head; next != 0 && next <= c->c_bucket_count;) {
        const struct sm_bucket_shm *b = &c->c_buckets[next - 1];
        if (!see_bucket(c, next - 1, place, zone, SM_CPU_NONE, sm_load_rlx(&b->b_count))) {
            return;
        }
        next = sm_load_rlx(&b->b_next);
    }
}

static void survey_cache(struct sm_check *c, uint32_t cpu, uint32_t zone) {
    const struct sm_cache_shm *s = sm_check_cache(c, cpu, zone);
    uint32_t id = sm_check_bucket_at(c, sm_load_rlx(&s->c_alloc));
    if (id != UINT32_MAX) {
        see_bucket(c, id, SM_BK_CACHE, zone, cpu, sm_load_rlx(&s->c_alloc_n));
    }
    id = sm_check_bucket_at(c, sm_load_rlx(&s->c_free));
    if (id != UINT32_MAX) {
        see_bucket(c, id, SM_BK_CACHE, zone, cpu, sm_load_rlx(&s->c_free_n));
    }
}

static enum sm_err survey_buckets(struct sm_check *c) {
    c->c_bucket = calloc((size_t)c->c_bucket_count + 1, sizeof *c->c_bucket);
    if (c->c_bucket == NULL) {
        return SM_NO_MEMORY;
    }
    for (uint32_t cpu = 0; cpu < c->c_header.h_max_cpus; cpu++) {
        for (uint32_t zone = 0; zone < c->c_header.h_max_zones && sm_check_cpu_taken(c, cpu); zone++) {
            if (sm_check_zone_live(c, zone)) {
                survey_cache(c, cpu, zone);
            }
        }
    }
    for (uint32_t zone = 0; zone < c->c_header.h_max_zones; zone++) {
        if (sm_check_zone_live(c, zone)) {
            survey_list(c, sm_load_rlx(&c->c_zones[zone].z_full), SM_BK_FULL, zone);
        }
    }
    survey_list(c, sm_load_rlx(&c->c_ctl->ctl_bucket_free), SM_BK_FREE, UINT32_MAX);
    return SM_OK;
}

enum sm_err sm_check_survey_items(struct sm_check *c) {
    enum sm_err e = survey_kegs(c);
    return e == SM_OK ? survey_slabs(c) : e;
}

enum sm_err sm_check_survey(struct sm_check *c) {
    enum sm_err e = sm_check_survey_items(c);
    if (e == SM_OK) {
        e = survey_buckets(c);
    }
    c->c_result->cr_slabs = c->c_slabs;
    c->c_result->cr_items = c->c_items;
    c->c_result->cr_pages = c->c_frontier;
    c->c_result->cr_buckets = c->c_bucket_count;
    return e;
}

void sm_check_survey_end(struct sm_check *c) {
    free(c->c_keg);
    free(c->c_slab);
    free(c->c_slab_of);
    free(c->c_bucket);
}
