/* arena_format.c - where everything lies in the object, and whether a header can be believed. Takes no lock: runs before
 * the object is shared, or on a private copy of its header. Source: layout.h.
 */
#include "arena_format.h"

#include <string.h>
#include <unistd.h>

#include "tunable.h"

#define DEFAULT_MAX_BYTES (1ull << 30)
#define EXTRA_BYTES (64ull << 20)
#define LEAST_MAX_BYTES (1ull << 20)
#define MOST_MAX_BYTES (1ull << 43) /* page numbers + 1 must fit 32 bits */
#define MOST_META_BYTES ((1ull << 32) * SM_BLOCK_UNIT)
#define POLL_NS 200000
#define POLL_LIMIT_NS 2000000000ll
#define EMPTY_LIMIT_NS 100000000ll

static const char *const region_names[SM_R_FIXED] = {
    "control", "cpus",    "zones", "kegs",     "queues",    "locks",    "caches", "types", "events",
    "sites",   "buckets", "extra", "page-dir", "page-link", "meta-dir", "meta",   "data",
};

static uint64_t page_up(uint64_t bytes) {
    return (bytes + SM_PAGE - 1) & ~(SM_PAGE - 1);
}

enum sm_err sm_arena_geometry(const struct sm_geometry *asked, struct sm_geometry *full) {
    struct sm_geometry g = asked ? *asked : (struct sm_geometry){0};
    g.g_max_bytes = page_up(g.g_max_bytes ? g.g_max_bytes : DEFAULT_MAX_BYTES);
    g.g_max_cpus = g.g_max_cpus ? g.g_max_cpus : 64;
    g.g_max_zones = g.g_max_zones ? g.g_max_zones : 256;
    g.g_max_queues = g.g_max_queues ? g.g_max_queues : 64;
    g.g_max_types = g.g_max_types ? g.g_max_types : 128;
    g.g_max_buckets = g.g_max_buckets ? g.g_max_buckets : 16384;
    g.g_max_events = g.g_max_events ? g.g_max_events : 256;
    g.g_max_sites = g.g_max_sites ? g.g_max_sites : 1024;
    if (g.g_max_bytes < LEAST_MAX_BYTES || g.g_max_bytes > MOST_MAX_BYTES || g.g_max_cpus >= SM_CPU_NONE ||
        g.g_max_zones >= SM_ST_ZONE_MASK || g.g_max_queues >= SM_ST_CPU_MASK || g.g_max_types > SM_TYPES_LIMIT ||
        g.g_max_buckets > 1u << 24 || g.g_max_events > 1u << 20 || g.g_max_sites > SM_SITES_LIMIT) {
        return SM_INVALID;
    }
    *full = g;
    return SM_OK;
}

static uint64_t meta_bytes(uint64_t max_bytes, bool trace) {
    /* The most greedy keg, 16-byte items with aux words, needs 3,080 bytes of state for each 4,096 of data, and with
     * trace records 7,176; chunks may waste a sixteenth. */
    uint64_t bytes = page_up(max_bytes / 16 * (trace ? 30 : 13)) + 16 * SM_PAGE;
    return bytes < MOST_META_BYTES ? bytes : MOST_META_BYTES;
}

void sm_format_place(struct sm_header_shm *h) {
    uint64_t meta = meta_bytes(h->h_max_bytes, (h->h_flags & SM_ARENA_TRACE) != 0);
    uint64_t data_pages = h->h_max_bytes >> SM_PAGE_SHIFT;
    uint64_t zones = h->h_max_zones, cpus = h->h_max_cpus;
    const uint64_t bytes[SM_R_FIXED] = {
        [SM_R_CONTROL] = sizeof(struct sm_control_shm),
        [SM_R_CPUS] = cpus * sizeof(struct sm_cpu_shm),
        [SM_R_ZONES] = zones * sizeof(struct sm_zone_shm),
        [SM_R_KEGS] = zones * sizeof(struct sm_keg_shm),
        [SM_R_QUEUES] = h->h_max_queues * sizeof(struct sm_queue_shm),
        [SM_R_LOCKS] = SM_MAX_LOCKS * sizeof(struct sm_userlock_shm) + /* whole pages */
                       SM_MAX_LOCKS * cpus * sizeof(struct sm_userlock_hold_shm),
        [SM_R_CACHES] = cpus * zones * sizeof(struct sm_cache_shm),
        [SM_R_TYPES] = page_up(h->h_max_types * sizeof(struct sm_type_shm)) + /* the CPUs' rows begin a page */
                       cpus * h->h_max_types * sizeof(struct sm_type_stat_shm),
        [SM_R_EVENTS] = h->h_max_events * sizeof(struct sm_event_shm),
        [SM_R_SITES] = h->h_max_sites * sizeof(struct sm_site_shm),
        [SM_R_BUCKETS] = h->h_max_buckets * sizeof(struct sm_bucket_shm),
        [SM_R_EXTRA] = EXTRA_BYTES,
        [SM_R_PAGEDIR] = data_pages * sizeof(uint64_t),
        [SM_R_PAGELINKS] = data_pages * sizeof(struct sm_page_link_shm),
        [SM_R_METADIR] = (meta >> SM_PAGE_SHIFT) * sizeof(uint64_t),
        [SM_R_META] = meta,
        [SM_R_DATA] = h->h_max_bytes,
    };
    uint64_t off = SM_PAGE;
    for (int i = 0; i < SM_R_FIXED; i++) {
        struct sm_region_shm *r = &h->h_region[i];
        memset(r, 0, sizeof *r);
        strncpy(r->r_name, region_names[i], sizeof r->r_name - 1);
        r->r_off = off;
        r->r_bytes = page_up(bytes[i]);
        r->r_version = SM_LAYOUT_VERSION;
        bool later = i == SM_R_SITES ? !(h->h_flags & SM_ARENA_TRACE) : i == SM_R_CACHES || i >= SM_R_BUCKETS;
        r->r_flags = later ? SM_REGION_SPARSE : 0;
        off += r->r_bytes;
    }
    h->h_regions = SM_R_FIXED;
    h->h_object_bytes = off;
}

uint64_t sm_arena_object_bytes(const struct sm_geometry *g) {
    struct sm_header_shm h = {
        .h_max_bytes = g->g_max_bytes,
        .h_max_cpus = g->g_max_cpus,
        .h_max_zones = g->g_max_zones,
        .h_max_queues = g->g_max_queues,
        .h_max_types = g->g_max_types,
        .h_max_buckets = g->g_max_buckets,
        .h_max_events = g->g_max_events,
        .h_max_sites = g->g_max_sites,
        .h_flags = g->g_trace ? SM_ARENA_TRACE : 0,
    };
    sm_format_place(&h);
    return h.h_object_bytes;
}

uint32_t sm_format_checksum(const struct sm_header_shm *h) {
    struct sm_header_shm fixed = *h;
    fixed.h_flags &= ~SM_ARENA_COMPANIONS; /* come and go while the arena lives */
    const uint8_t *p = (const uint8_t *)&fixed + offsetof(struct sm_header_shm, h_header_bytes);
    const uint8_t *end = (const uint8_t *)&fixed.h_region[SM_R_FIXED];
    uint64_t sum = 0xcbf29ce484222325ull; /* FNV-1a */
    for (; p < end; p++) {
        sum = (sum ^ *p) * 0x100000001b3ull;
    }
    return (uint32_t)(sum ^ sum >> 32);
}

static enum sm_err commit_region(struct sm_arena *a, const struct sm_header_shm *h, int id) {
    const struct sm_region_shm *r = &h->h_region[id];
    uint64_t bytes = r->r_bytes;
    if (id == SM_R_TYPES) {
        bytes = page_up(h->h_max_types * sizeof(struct sm_type_shm)); /* rows of CPUs are committed as they attach */
    } else if (id == SM_R_LOCKS) {
        bytes = SM_MAX_LOCKS * sizeof(struct sm_userlock_shm); /* hold cells are committed as locks are made */
    }
    return r->r_flags & SM_REGION_SPARSE ? SM_OK : sm_os_commit(a->a_fd, r->r_off, bytes);
}

enum sm_err sm_format_write(struct sm_arena *a, const struct sm_header_shm *h) {
    enum sm_err err = sm_os_commit(a->a_fd, 0, SM_PAGE);
    for (int i = 0; err == SM_OK && i < SM_R_FIXED; i++) {
        err = commit_region(a, h, i);
    }
    if (err != SM_OK) {
        return err;
    }
    memcpy(a->a_header, h, sizeof *h);
    struct sm_control_shm *ctl = a->a_ctl;
    if ((err = sm_lock_format(&ctl->ctl_quiesce)) != SM_OK || (err = sm_lock_format(&ctl->ctl_admin)) != SM_OK ||
        (err = sm_lock_format(&ctl->ctl_page)) != SM_OK) {
        return err;
    }
    for (uint32_t i = 0; err == SM_OK && i < h->h_max_zones; i++) {
        err = sm_lock_format(&a->a_kegs[i].k_lock);
    }
    ctl->ctl_data_pages = h->h_max_bytes >> SM_PAGE_SHIFT;
    ctl->ctl_meta_pages = h->h_region[SM_R_META].r_bytes >> SM_PAGE_SHIFT;
    ctl->ctl_meta_frontier = 1; /* block 0 means none */
    ctl->ctl_sites = h->h_flags & SM_ARENA_TRACE ? h->h_max_sites : 0;
    sm_tunable_format(a);
    return err;
}

void sm_format_bind(struct sm_arena *a, uint8_t *base, uint64_t bytes) {
    struct sm_header_shm *h = (struct sm_header_shm *)base;
    a->a_base = base;
    a->a_bytes = bytes;
    a->a_header = h;
#define AT(id) (base + h->h_region[id].r_off)
    a->a_ctl = (struct sm_control_shm *)AT(SM_R_CONTROL);
    a->a_cpus = (struct sm_cpu_shm *)AT(SM_R_CPUS);
    a->a_zones = (struct sm_zone_shm *)AT(SM_R_ZONES);
    a->a_kegs = (struct sm_keg_shm *)AT(SM_R_KEGS);
    a->a_queues = (struct sm_queue_shm *)AT(SM_R_QUEUES);
    a->a_locks = (struct sm_userlock_shm *)AT(SM_R_LOCKS);
    a->a_holds = (struct sm_userlock_hold_shm *)(a->a_locks + SM_MAX_LOCKS);
    a->a_caches = (struct sm_cache_shm *)AT(SM_R_CACHES);
    a->a_types = (struct sm_type_shm *)AT(SM_R_TYPES);
    a->a_type_stats =
        (struct sm_type_stat_shm *)(AT(SM_R_TYPES) + page_up(h->h_max_types * sizeof(struct sm_type_shm)));
    a->a_events = (struct sm_event_shm *)AT(SM_R_EVENTS);
    a->a_sites = (struct sm_site_shm *)AT(SM_R_SITES);
    a->a_buckets = (struct sm_bucket_shm *)AT(SM_R_BUCKETS);
    a->a_pagedir = (uint64_t *)AT(SM_R_PAGEDIR);
    a->a_links = (struct sm_page_link_shm *)AT(SM_R_PAGELINKS);
    a->a_metadir = (uint64_t *)AT(SM_R_METADIR);
    a->a_meta = AT(SM_R_META);
    a->a_data_off = h->h_region[SM_R_DATA].r_off;
    a->a_data = base + a->a_data_off;
    a->a_data_pages = h->h_max_bytes >> SM_PAGE_SHIFT;
    a->a_fenced = (h->h_flags & SM_ARENA_FENCED) != 0;
    a->a_hooks.h_mask |= h->h_flags & SM_ARENA_TRACE ? SM_HOOK_TRACE : 0;
#undef AT
}

bool sm_format_placed(const struct sm_header_shm *h, struct sm_header_shm *placed) {
    struct sm_geometry full, g = {
                                 .g_max_bytes = h->h_max_bytes,
                                 .g_max_cpus = h->h_max_cpus,
                                 .g_max_zones = h->h_max_zones,
                                 .g_max_queues = h->h_max_queues,
                                 .g_max_types = h->h_max_types,
                                 .g_max_buckets = h->h_max_buckets,
                                 .g_max_events = h->h_max_events,
                                 .g_max_sites = h->h_max_sites,
                             };
    if (sm_arena_geometry(&g, &full) != SM_OK || full.g_max_bytes != g.g_max_bytes || g.g_max_cpus == 0 ||
        g.g_max_zones == 0 || g.g_max_queues == 0 || g.g_max_types == 0 || g.g_max_buckets == 0 ||
        g.g_max_events == 0 || g.g_max_sites == 0) {
        return false;
    }
    *placed = *h;
    sm_format_place(placed);
    return true;
}

/* Every field against its range, and against the placement that this version would make of the same geometry. */
static enum sm_err verify_fields(const struct sm_header_shm *h, uint64_t object_bytes) {
    if (h->h_magic != SM_MAGIC) {
        return SM_NOT_ARENA;
    }
    if (h->h_version != SM_LAYOUT_VERSION) {
        return SM_VERSION;
    }
    if (h->h_checksum != sm_format_checksum(h) || h->h_header_bytes != sizeof *h || h->h_page_bytes != SM_PAGE) {
        return SM_CORRUPT;
    }
    struct sm_header_shm placed;
    if (!sm_format_placed(h, &placed)) {
        return SM_CORRUPT;
    }
    if (placed.h_object_bytes != h->h_object_bytes || placed.h_regions != h->h_regions ||
        memcmp(placed.h_region, h->h_region, sizeof(struct sm_region_shm) * SM_R_FIXED) != 0 || h->h_uuid == 0) {
        return SM_CORRUPT;
    }
    return object_bytes < h->h_object_bytes ? SM_TRUNCATED : SM_OK;
}

static enum sm_err verify_once(int fd, struct sm_header_shm *h) {
    uint64_t bytes = 0;
    enum sm_err err = sm_os_size(fd, &bytes);
    if (err != SM_OK) {
        return err;
    }
    memset(h, 0, sizeof *h);
    ssize_t n = pread(fd, h, sizeof *h, 0);
    if (n < 0) {
        return SM_NOT_ARENA; /* a directory, a pipe */
    }
    if (bytes == 0 || (h->h_magic == SM_MAGIC && h->h_state == SM_STATE_FORMATTING) ||
        (h->h_magic == 0 && bytes >= SM_PAGE)) {
        return SM_HALF_MADE;
    }
    if ((uint64_t)n < sizeof *h) {
        return (uint64_t)n >= sizeof h->h_magic && h->h_magic == SM_MAGIC ? SM_TRUNCATED : SM_NOT_ARENA;
    }
    err = verify_fields(h, bytes);
    return err == SM_OK && h->h_state != SM_STATE_READY ? SM_CORRUPT : err;
}

enum sm_err sm_arena_verify(int fd, struct sm_header_shm *copy) {
    int64_t start = sm_os_now_ns();
    for (;;) {
        enum sm_err err = verify_once(fd, copy);
        if (err != SM_HALF_MADE) {
            return err;
        }
        /* Perhaps its creator is still at work: it holds the format lock, or is about to take it. */
        bool creating = false;
        if (sm_os_byte_locked(fd, SM_LOCKBYTE_FORMAT, &creating) != SM_OK) {
            return SM_HALF_MADE;
        }
        if (sm_os_now_ns() - start > (creating ? POLL_LIMIT_NS : EMPTY_LIMIT_NS)) {
            return SM_HALF_MADE;
        }
        sm_os_nap_ns(POLL_NS);
    }
}
