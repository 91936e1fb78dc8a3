/* check_pages.c - I1, I2, I9, I10: header, page directory, free runs, state blocks.
 * Owns nothing. I1 sets the bounds that everything else is compared with. Source: layout.h.
 */
#include "check_ctx.h"

#include <stdlib.h>
#include <string.h>

#include "arena_format.h"

/* ---- I1 header */

static void bind_tables(struct sm_check *c) {
    const struct sm_region_shm *r = c->c_header.h_region;
    const uint8_t *base = c->c_base;
    c->c_ctl = (const struct sm_control_shm *)(base + r[SM_R_CONTROL].r_off);
    c->c_cpus = (const struct sm_cpu_shm *)(base + r[SM_R_CPUS].r_off);
    c->c_zones = (const struct sm_zone_shm *)(base + r[SM_R_ZONES].r_off);
    c->c_kegs = (const struct sm_keg_shm *)(base + r[SM_R_KEGS].r_off);
    c->c_queues = (const struct sm_queue_shm *)(base + r[SM_R_QUEUES].r_off);
    c->c_locks = (const struct sm_userlock_shm *)(base + r[SM_R_LOCKS].r_off);
    c->c_holds = (const struct sm_userlock_hold_shm *)(c->c_locks + SM_MAX_LOCKS);
    c->c_caches = (const struct sm_cache_shm *)(base + r[SM_R_CACHES].r_off);
    c->c_types = (const struct sm_type_shm *)(base + r[SM_R_TYPES].r_off);
    c->c_sites = (const struct sm_site_shm *)(base + r[SM_R_SITES].r_off);
    c->c_buckets = (const struct sm_bucket_shm *)(base + r[SM_R_BUCKETS].r_off);
    c->c_pagedir = (const uint64_t *)(base + r[SM_R_PAGEDIR].r_off);
    c->c_links = (const struct sm_page_link_shm *)(base + r[SM_R_PAGELINKS].r_off);
    c->c_metadir = (const uint64_t *)(base + r[SM_R_METADIR].r_off);
    c->c_data_off = r[SM_R_DATA].r_off;
    c->c_data_pages = (uint32_t)(r[SM_R_DATA].r_bytes >> SM_PAGE_SHIFT);
    c->c_meta_pages = (uint32_t)(r[SM_R_META].r_bytes >> SM_PAGE_SHIFT);
    uint64_t types_bytes = (c->c_header.h_max_types * sizeof(struct sm_type_shm) + SM_PAGE - 1) & ~(SM_PAGE - 1);
    uint64_t stats_bytes = (uint64_t)c->c_header.h_max_cpus * c->c_header.h_max_types * sizeof(struct sm_type_stat_shm);
    if (types_bytes + stats_bytes <= r[SM_R_TYPES].r_bytes) {
        c->c_type_stats = (const struct sm_type_stat_shm *)(base + r[SM_R_TYPES].r_off + types_bytes);
    }
}

static uint32_t clamped(uint64_t value, uint32_t most) {
    return value < most ? (uint32_t)value : most;
}

static void load_frontiers(struct sm_check *c) {
    c->c_dir_pages = clamped(sm_load_rlx(&c->c_ctl->ctl_dir_committed), c->c_data_pages);
    c->c_frontier = clamped(sm_load_rlx(&c->c_ctl->ctl_frontier), c->c_dir_pages);
    c->c_metadir_pages = clamped(sm_load_rlx(&c->c_ctl->ctl_metadir_committed), c->c_meta_pages);
    c->c_meta_frontier = clamped(sm_load_rlx(&c->c_ctl->ctl_meta_frontier), c->c_metadir_pages);
    c->c_bucket_count = clamped(sm_load_rlx(&c->c_ctl->ctl_bucket_next), c->c_header.h_max_buckets);
}

/* A companion's region lies in the extra region and shares no byte with another. */
static void check_extra(struct sm_check *c) {
    const struct sm_region_shm *r = c->c_header.h_region, *extra = &r[SM_R_EXTRA];
    for (int i = SM_R_FIXED; i < SM_MAX_REGIONS; i++) {
        if (r[i].r_bytes == 0) {
            continue;
        }
        if (r[i].r_off % SM_PAGE != 0 || r[i].r_bytes % SM_PAGE != 0 || r[i].r_off < extra->r_off ||
            r[i].r_bytes > extra->r_bytes || r[i].r_off - extra->r_off > extra->r_bytes - r[i].r_bytes) {
            sm_check_found(c, 1, "region %d: %llu bytes at %#llx are not whole pages of the extra region", i,
                           (unsigned long long)r[i].r_bytes, (unsigned long long)r[i].r_off);
            continue;
        }
        if (memchr(r[i].r_name, 0, sizeof r[i].r_name) == NULL || r[i].r_name[0] == 0) {
            sm_check_found(c, 1, "region %d: its name is empty or has no end", i);
        }
        for (int j = SM_R_FIXED; j < i; j++) {
            if (r[j].r_bytes != 0 && r[i].r_off < r[j].r_off + r[j].r_bytes && r[j].r_off < r[i].r_off + r[i].r_bytes) {
                sm_check_found(c, 1, "regions %d and %d overlap", j, i);
            }
        }
    }
}

/* Whether the fixed regions are where this version places them for this geometry, hence disjoint and in bounds. */
static bool regions_agree(struct sm_check *c) {
    const struct sm_header_shm *h = &c->c_header;
    struct sm_header_shm placed;
    if (!sm_format_placed(h, &placed)) {
        sm_check_found(c, 1,
                       "geometry: %llu bytes, %u cpus, %u zones, %u queues, %u types, %u buckets, %u events, %u sites "
                       "cannot be",
                       (unsigned long long)h->h_max_bytes, h->h_max_cpus, h->h_max_zones, h->h_max_queues,
                       h->h_max_types, h->h_max_buckets, h->h_max_events, h->h_max_sites);
        return false;
    }
    bool ok = true;
    for (int i = 0; i < SM_R_FIXED; i++) {
        if (memcmp(&placed.h_region[i], &h->h_region[i], sizeof placed.h_region[i]) != 0) {
            sm_check_found(c, 1, "region %d (%s): %llu bytes at %#llx, expected %llu at %#llx", i,
                           placed.h_region[i].r_name, (unsigned long long)h->h_region[i].r_bytes,
                           (unsigned long long)h->h_region[i].r_off, (unsigned long long)placed.h_region[i].r_bytes,
                           (unsigned long long)placed.h_region[i].r_off);
            ok = false;
        }
    }
    if (placed.h_object_bytes != h->h_object_bytes || placed.h_object_bytes > c->c_arena->a_bytes) {
        sm_check_found(c, 1, "object: header says %llu bytes, %llu are mapped, the geometry needs %llu",
                       (unsigned long long)h->h_object_bytes, (unsigned long long)c->c_arena->a_bytes,
                       (unsigned long long)placed.h_object_bytes);
        ok = false;
    }
    return ok;
}

enum sm_err sm_check_i1(struct sm_check *c) {
    c->c_base = c->c_arena->a_base;
    memcpy(&c->c_header, c->c_base, sizeof c->c_header);
    const struct sm_header_shm *h = &c->c_header;
    if (h->h_magic != SM_MAGIC || h->h_version != SM_LAYOUT_VERSION || h->h_header_bytes != sizeof *h ||
        h->h_page_bytes != SM_PAGE) {
        sm_check_found(c, 1, "magic %#llx, version %u, header of %u bytes, pages of %u: not this layout",
                       (unsigned long long)h->h_magic, h->h_version, h->h_header_bytes, h->h_page_bytes);
    }
    if (h->h_checksum != sm_format_checksum(h)) {
        sm_check_found(c, 1, "checksum is %#x, the header's bytes give %#x", h->h_checksum, sm_format_checksum(h));
    }
    if (h->h_state != SM_STATE_READY || h->h_uuid == 0 || h->h_regions != SM_R_FIXED) {
        sm_check_found(c, 1, "state %#x, uuid %#llx, %u regions: never made ready", h->h_state,
                       (unsigned long long)h->h_uuid, h->h_regions);
    }
    c->c_usable = regions_agree(c);
    if (!c->c_usable) {
        return SM_OK;
    }
    check_extra(c);
    bind_tables(c);
    load_frontiers(c);
    if (sm_load_rlx(&c->c_ctl->ctl_data_pages) != c->c_data_pages ||
        sm_load_rlx(&c->c_ctl->ctl_meta_pages) != c->c_meta_pages) {
        sm_check_found(c, 1, "control counts %llu data and %llu meta pages, the regions have %u and %u",
                       (unsigned long long)sm_load_rlx(&c->c_ctl->ctl_data_pages),
                       (unsigned long long)sm_load_rlx(&c->c_ctl->ctl_meta_pages), c->c_data_pages, c->c_meta_pages);
    }
    return SM_OK;
}

/* ---- I2 page directory */

static uint32_t followers(const struct sm_check *c, uint32_t page, uint64_t head, uint32_t most) {
    uint32_t n = 1;
    while (n < most &&
           sm_load_rlx(&c->c_pagedir[page + n]) == SM_PG_ENTRY(SM_PG_KIND(head), SM_PG_KEG(head), n, SM_PG_BLK(head))) {
        n++;
    }
    return n;
}

/* Each of these looks at the run that begins at `page` and returns how many pages it has dealt with. */
static uint32_t check_slab_pages(struct sm_check *c, uint32_t page, uint64_t e) {
    uint32_t number = c->c_slab_of[page];
    if (number == 0 || c->c_slab[number - 1].s_page != page) {
        sm_check_found(c, 2, "page %u: entry %#llx names keg %u and state block %u, which cannot be a slab", page,
                       (unsigned long long)e, SM_PG_KEG(e), SM_PG_BLK(e));
        return followers(c, page, e, c->c_frontier - page);
    }
    uint32_t pages = c->c_slab[number - 1].s_pages, n = followers(c, page, e, pages);
    if (n < pages) {
        sm_check_found(c, 2, "slab at page %u of keg %u: page %u of its %u has entry %#llx", page, SM_PG_KEG(e), n,
                       pages, (unsigned long long)sm_load_rlx(&c->c_pagedir[page + n]));
    }
    return n; /* what follows a bad entry is looked at on its own */
}

static uint32_t check_ring_pages(struct sm_check *c, uint32_t page, uint64_t e) {
    uint32_t queue = SM_PG_KEG(e), n = followers(c, page, e, c->c_frontier - page);
    if (!sm_check_queue_live(c, queue)) {
        sm_check_found(c, 2, "page %u: ring of queue %u, which does not exist", page, queue);
    } else if (sm_load_rlx(&c->c_queues[queue].q_pages) != n ||
               sm_load_rlx(&c->c_queues[queue].q_ring) != c->c_data_off + ((uint64_t)page << SM_PAGE_SHIFT)) {
        sm_check_found(c, 2, "page %u: %u pages of a ring of queue %u, whose ring is %u pages at %#llx", page, n, queue,
                       sm_load_rlx(&c->c_queues[queue].q_pages),
                       (unsigned long long)sm_load_rlx(&c->c_queues[queue].q_ring));
    }
    return n;
}

static uint32_t check_run_of(struct sm_check *c, uint32_t page, uint64_t e) {
    switch (SM_PG_KIND(e)) {
    case SM_PG_FREE:
    case SM_PG_HOLE:
        if (SM_PG_KEG(e) != 0 || SM_PG_IDX(e) != 0) {
            sm_check_found(c, 2, "page %u: free, but its entry is %#llx", page, (unsigned long long)e);
        }
        return 1;
    case SM_PG_RESERVED:
    case SM_PG_SLAB:
    case SM_PG_RING:
        if (SM_PG_IDX(e) != 0) {
            sm_check_found(c, 2, "page %u: entry %#llx is page %u of a run that does not begin", page,
                           (unsigned long long)e, SM_PG_IDX(e));
            return 1;
        }
        if (SM_PG_KIND(e) == SM_PG_SLAB) {
            return check_slab_pages(c, page, e);
        }
        if (SM_PG_KIND(e) == SM_PG_RING) {
            return check_ring_pages(c, page, e);
        }
        if (!sm_check_cpu_taken(c, SM_PG_KEG(e))) {
            sm_check_found(c, 2, "page %u: reserved for cpu %u, whose slot is free", page, SM_PG_KEG(e));
        }
        return followers(c, page, e, c->c_frontier - page);
    default:
        sm_check_found(c, 2, "page %u: below the frontier %u, but its entry is %#llx", page, c->c_frontier,
                       (unsigned long long)e);
        return 1;
    }
}

enum sm_err sm_check_i2(struct sm_check *c) {
    uint64_t frontier = sm_load_rlx(&c->c_ctl->ctl_frontier);
    if (frontier > c->c_frontier) {
        sm_check_found(c, 2, "frontier is page %llu, but only %u of %u pages have directory entries",
                       (unsigned long long)frontier, c->c_dir_pages, c->c_data_pages);
    }
    for (uint32_t p = 0; p < c->c_frontier;) {
        p += check_run_of(c, p, sm_load_rlx(&c->c_pagedir[p]));
    }
    for (uint32_t p = c->c_frontier; p < c->c_dir_pages; p++) {
        uint64_t e = sm_load_rlx(&c->c_pagedir[p]);
        if (e != 0) {
            sm_check_found(c, 2, "page %u: past the frontier %u, but its entry is %#llx", p, c->c_frontier,
                           (unsigned long long)e);
        }
    }
    return SM_OK;
}

/* ---- I9 free runs */

static uint64_t entry_free(enum sm_page_kind kind, uint32_t length) {
    return SM_PG_ENTRY(kind, 0, 0, length);
}

/* The run that begins at `page`; returns its length as the kinds of the entries have it. */
static uint32_t check_free_run(struct sm_check *c, uint32_t page, enum sm_page_kind kind, uint64_t *starts) {
    uint32_t length = SM_PG_BLK(sm_load_rlx(&c->c_pagedir[page])), n = 1;
    while (page + n < c->c_frontier && SM_PG_KIND(sm_load_rlx(&c->c_pagedir[page + n])) == kind) {
        n++;
    }
    if (length != n) {
        sm_check_found(c, 9, "free run at page %u: its entry says %u pages, %u of a kind are there%s", page, length, n,
                       length != 0 && length < n ? " (neighbours not merged?)" : "");
    } else if (sm_load_rlx(&c->c_pagedir[page + n - 1]) != entry_free(kind, length)) {
        sm_check_found(c, 9, "free run at page %u of %u pages: its last entry is %#llx", page, length,
                       (unsigned long long)sm_load_rlx(&c->c_pagedir[page + n - 1]));
    }
    for (uint32_t i = 1; length == n && i + 1 < n; i++) {
        if (sm_load_rlx(&c->c_pagedir[page + i]) != entry_free(kind, 0)) {
            sm_check_found(c, 9, "free run at page %u of %u pages: page %u inside has entry %#llx", page, length,
                           page + i, (unsigned long long)sm_load_rlx(&c->c_pagedir[page + i]));
            break;
        }
    }
    sm_check_mark(starts, page);
    return n;
}

/* The bins of one kind. A run met twice ends the walk of its bin. */
static void check_bins(struct sm_check *c, enum sm_page_kind kind, const uint64_t *starts, uint64_t *binned) {
    for (uint32_t bin = 0; bin < SM_RUN_BINS; bin++) {
        uint32_t prev = 0;
        for (uint32_t at = sm_load_rlx(&c->c_ctl->ctl_bins[kind == SM_PG_HOLE][bin]); at != 0;) {
            uint64_t e = at <= c->c_frontier ? sm_load_rlx(&c->c_pagedir[at - 1]) : 0;
            if (SM_PG_KIND(e) != kind || !sm_check_bit(starts, at - 1)) {
                sm_check_found(c, 9, "bin %u of %s names page %u, where no such run begins", bin,
                               kind == SM_PG_HOLE ? "holes" : "free pages", at - 1);
                break;
            }
            if (sm_check_mark(binned, at - 1)) {
                sm_check_found(c, 9, "free run at page %u is in two bins, or twice in bin %u", at - 1, bin);
                break;
            }
            uint32_t length = SM_PG_BLK(e);
            if (length == 0 || 31u - (unsigned)__builtin_clz(length) != bin) {
                sm_check_found(c, 9, "free run at page %u of %u pages is in bin %u", at - 1, length, bin);
            }
            if (sm_load_rlx(&c->c_links[at - 1].pl_prev) != prev) {
                sm_check_found(c, 9, "free run at page %u: its back link says %u, the bin came from %u", at - 1,
                               sm_load_rlx(&c->c_links[at - 1].pl_prev), prev);
            }
            prev = at;
            at = sm_load_rlx(&c->c_links[at - 1].pl_next);
        }
    }
}

static void check_totals(struct sm_check *c, const uint64_t total[2]) {
    uint64_t free_pages = sm_load_rlx(&c->c_ctl->ctl_free_pages), holes = sm_load_rlx(&c->c_ctl->ctl_hole_pages);
    if (free_pages != total[0] || holes != total[1]) {
        sm_check_found(c, 9, "control counts %llu free pages and %llu holes, there are %llu and %llu",
                       (unsigned long long)free_pages, (unsigned long long)holes, (unsigned long long)total[0],
                       (unsigned long long)total[1]);
    }
}

enum sm_err sm_check_i9(struct sm_check *c) {
    uint64_t *starts = sm_check_bits(c->c_frontier), *binned = sm_check_bits(c->c_frontier);
    uint64_t total[2] = {0, 0};
    if (starts == NULL || binned == NULL) {
        free(starts);
        free(binned);
        return SM_NO_MEMORY;
    }
    for (uint32_t p = 0; p < c->c_frontier;) {
        enum sm_page_kind kind = SM_PG_KIND(sm_load_rlx(&c->c_pagedir[p]));
        if (kind == SM_PG_FREE || kind == SM_PG_HOLE) {
            uint32_t n = check_free_run(c, p, kind, starts);
            total[kind == SM_PG_HOLE] += n;
            p += n;
        } else {
            p++;
        }
    }
    check_bins(c, SM_PG_FREE, starts, binned);
    check_bins(c, SM_PG_HOLE, starts, binned);
    for (uint32_t p = 0; p < c->c_frontier; p++) {
        if (sm_check_bit(starts, p) && !sm_check_bit(binned, p)) {
            sm_check_found(c, 9, "free run at page %u of %u pages is in no bin", p,
                           SM_PG_BLK(sm_load_rlx(&c->c_pagedir[p])));
        }
    }
    check_totals(c, total);
    free(starts);
    free(binned);
    return SM_OK;
}

/* ---- I10 state blocks */

/* Marks the blocks that slabs, and slabs in the making, use. */
static void mark_used_blocks(struct sm_check *c, uint64_t *used) {
    for (uint32_t p = 0; p < c->c_frontier; p++) {
        uint64_t e = sm_load_rlx(&c->c_pagedir[p]);
        uint32_t block = SM_PG_BLK(e);
        uint64_t meta_page = ((uint64_t)block * SM_BLOCK_UNIT) >> SM_PAGE_SHIFT;
        bool slab = SM_PG_KIND(e) == SM_PG_SLAB;
        if ((!slab && SM_PG_KIND(e) != SM_PG_RESERVED) || SM_PG_IDX(e) != 0 || (!slab && block == 0)) {
            continue;
        }
        uint64_t m = meta_page < c->c_meta_frontier ? sm_load_rlx(&c->c_metadir[meta_page]) : 0;
        uint32_t keg = slab ? SM_PG_KEG(e) : SM_META_KEG(m);
        if (m == 0 || keg >= c->c_header.h_max_zones || !c->c_keg[keg].k_sane || !sm_check_block_fits(c, keg, block)) {
            sm_check_found(c, 10, "slab at page %u of keg %u: its state block %u is not one of the keg's", p, keg,
                           block);
        } else if (sm_check_mark(used, block)) {
            sm_check_found(c, 10, "slab at page %u of keg %u: another slab has its state block %u too", p, keg, block);
        }
    }
}

/* Walks the free blocks of a keg; their first word is the link. Returns how many there are. */
static uint64_t walk_free_blocks(struct sm_check *c, uint32_t keg, uint64_t *used) {
    const uint8_t *meta = c->c_base + c->c_header.h_region[SM_R_META].r_off;
    uint64_t n = 0;
    for (uint32_t at = sm_load_rlx(&c->c_kegs[keg].k_block_free); at != 0; n++) {
        if (!sm_check_block_fits(c, keg, at)) {
            sm_check_found(c, 10, "keg %u: its free list names state block %u, which is not one of its own", keg, at);
            break;
        }
        if (sm_check_mark(used, at)) {
            sm_check_found(c, 10, "keg %u: state block %u is on its free list and in use, or on it twice", keg, at);
            break;
        }
        at = sm_load_rlx((const uint32_t *)(meta + (uint64_t)at * SM_BLOCK_UNIT));
    }
    return n;
}

/* Chunks and their pages per keg; an entry out of its chunk's order is a finding. Page 0 is nobody's: block 0 means
 * none. Pages of destroyed kegs have no entry and are counted as free. */
static void count_chunks(struct sm_check *c, uint64_t *chunks, uint64_t *pages) {
    uint64_t unused = 0;
    for (uint32_t p = 1; p < c->c_meta_frontier; p++) {
        uint64_t m = sm_load_rlx(&c->c_metadir[p]);
        uint32_t keg = SM_META_KEG(m), idx = SM_META_IDX(m);
        if (m == 0) {
            unused++;
        } else if (keg >= c->c_header.h_max_zones ||
                   (idx != 0 && sm_load_rlx(&c->c_metadir[p - 1]) != SM_META_ENTRY(keg, idx - 1))) {
            sm_check_found(c, 10, "meta page %u: entry %#llx continues no chunk", p, (unsigned long long)m);
        } else {
            chunks[keg] += idx == 0;
            pages[keg]++;
        }
    }
    if (sm_load_rlx(&c->c_ctl->ctl_meta_free) != unused) {
        sm_check_found(c, 10, "control counts %llu unused meta pages, there are %llu",
                       (unsigned long long)sm_load_rlx(&c->c_ctl->ctl_meta_free), (unsigned long long)unused);
    }
}

enum sm_err sm_check_i10(struct sm_check *c) {
    uint64_t *used = sm_check_bits((uint64_t)c->c_meta_frontier << (SM_PAGE_SHIFT - 4));
    uint64_t *chunks = calloc(c->c_header.h_max_zones, sizeof *chunks);
    uint64_t *pages = calloc(c->c_header.h_max_zones, sizeof *pages);
    enum sm_err err = used != NULL && chunks != NULL && pages != NULL ? SM_OK : SM_NO_MEMORY;
    if (err == SM_OK) {
        uint64_t frontier = sm_load_rlx(&c->c_ctl->ctl_meta_frontier);
        if (frontier > c->c_meta_frontier && frontier > 1) { /* page 0 is nobody's and needs no entry */
            sm_check_found(c, 10, "meta frontier is page %llu, but only %u of %u pages have entries",
                           (unsigned long long)frontier, c->c_metadir_pages, c->c_meta_pages);
        }
        mark_used_blocks(c, used);
        count_chunks(c, chunks, pages);
    }
    for (uint32_t k = 0; err == SM_OK && k < c->c_header.h_max_zones; k++) {
        const struct sm_check_keg *keg = &c->c_keg[k];
        if (!keg->k_sane) {
            continue;
        }
        uint64_t free_blocks = walk_free_blocks(c, k, used);
        uint64_t all = chunks[k] * (((uint64_t)keg->k_chunk_pages << SM_PAGE_SHIFT) / keg->k_block_bytes);
        if (pages[k] != chunks[k] * keg->k_chunk_pages) {
            sm_check_found(c, 10, "keg %u: %llu meta pages in %llu chunks of %u", k, (unsigned long long)pages[k],
                           (unsigned long long)chunks[k], keg->k_chunk_pages);
        }
        if (free_blocks + keg->k_blocks_used != all) {
            sm_check_found(c, 10, "keg %u: %llu state blocks in use and %llu free, its meta pages hold %llu", k,
                           (unsigned long long)keg->k_blocks_used, (unsigned long long)free_blocks,
                           (unsigned long long)all);
        }
    }
    free(used);
    free(chunks);
    free(pages);
    return err;
}
