/* verdict.c - is anything lost? The survivor reaps, then goes on with the arena until every item has been in its hands:
 * what is queued, kept or in transit, and each zone to its limit. Conservation is exact: limit = held + the peer's.
 * Owns no state beyond the list of what it holds. Source: prove.h, invariants of layout.h.
 */
#include <stdarg.h>
#include <string.h>

#include "callbacks.h"
#include "core/keg.h"
#include "core/reap.h"
#include "mbufs.h"

#define MOST_HELD 1024
#define QUEUES 2

struct held {
    struct sm_zone *e_zone;
    void *e_mem;
    bool e_filled;
};

struct verdict {
    struct prove_world *d_world;
    struct prove_verdict *d_out;
    struct held d_held[MOST_HELD];
    uint32_t d_n, d_kept, d_queued;
    uint64_t d_due[QUEUES]; /* items that each queue must have after recovery */
    bool d_verbose, d_bad;
};

static void bad(struct verdict *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void bad(struct verdict *d, const char *fmt, ...) {
    char text[sizeof d->d_out->v_text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!d->d_bad) {
        memcpy(d->d_out->v_text, text, sizeof text);
    }
    if (d->d_verbose) {
        printf("  WRONG: %s\n", text);
    }
    d->d_bad = true;
}

static void finding(void *ctx, const struct sm_finding *f) {
    struct verdict *d = ctx;
    bad(d, "I%u: %.200s", f->f_invariant, f->f_detail);
}

static void check(struct verdict *d, const char *when) {
    struct sm_check_result r;
    enum sm_err err = sm_check(d->d_world->w_survivor.c_arena, 4, finding, d, &r);
    if (err != SM_OK) {
        bad(d, "check %s: %s", when, sm_err_name(err));
    }
    if (r.cr_findings != 0) {
        bad(d, "%llu findings %s", (unsigned long long)r.cr_findings, when);
    }
    if (r.cr_dead_cpus != 0) {
        bad(d, "%u dead CPUs %s", r.cr_dead_cpus, when);
    }
    d->d_out->v_findings += r.cr_findings;
}

static void hold(struct verdict *d, struct sm_zone *z, void *mem) {
    if (d->d_n < MOST_HELD) {
        d->d_held[d->d_n++] = (struct held){z, mem, false};
    } else {
        bad(d, "more than %d items", MOST_HELD);
    }
}

/* Every mbuf of a packet by itself, as the zone sees it. */
static void hold_packet(struct verdict *d, struct mbuf *m) {
    struct sm_arena *a = d->d_world->w_survivor.c_arena;
    struct sm_mb *mb = prove_mb(a);
    while (m != NULL) {
        struct sm_slab_ref s;
        struct sm_zone *z = NULL;
        struct mbuf *next = m_nextm(mb, m);
        enum sm_err err = sm_slab_find(a, m_off(mb, m), &s);
        if (err == SM_OK) {
            err = sm_zone_by_id(a, SM_ST_ZONE(s.sr_words[s.sr_index]), &z);
        }
        if (err != SM_OK) {
            bad(d, "an mbuf of a packet: %s", sm_err_name(err));
            return;
        }
        hold(d, z, m);
        m = next;
    }
}

/* What the survivor held before: still its own, no byte of it changed. */
static void look_at_survivors_items(struct verdict *d) {
    const struct prove_cpu *s = &d->d_world->w_survivor;
    for (uint32_t i = 0; i < s->c_items; i++) {
        const uint8_t *mem = s->c_item[i];
        struct sm_handle h;
        enum sm_err err = sm_zone_handle(s->c_item_zone[i], mem, &h);
        if (err != SM_OK) {
            bad(d, "the survivor's item %u: %s", i, sm_err_name(err));
            d->d_out->v_lost++;
            continue;
        }
        for (uint32_t b = 0; b < s->c_item_zone[i]->z_item_bytes; b++) {
            if (mem[b] != (uint8_t)(0x40 + i)) {
                bad(d, "the survivor's item %u changed at byte %u", i, b);
                d->d_out->v_lost++;
                break;
            }
        }
        hold(d, s->c_item_zone[i], s->c_item[i]);
    }
}

/* The same for its packets; the clusters are shared with whoever has the copies. */
static void look_at_survivors_packets(struct verdict *d) {
    const struct prove_cpu *s = &d->d_world->w_survivor;
    for (uint32_t i = 0; i < s->c_packets; i++) {
        struct sm_mb *mb = prove_mb(s->c_arena);
        const char *wrong = prove_look_at_packet(mb, s->c_packet[i], i, s->c_packet_len[i]);
        if (wrong != NULL || m_sanity(mb, s->c_packet[i], false) != SM_OK) {
            bad(d, "the survivor's packet %u: %s", i, wrong ? wrong : "not sane");
            d->d_out->v_lost++;
        }
        hold_packet(d, s->c_packet[i]);
    }
}

static bool has_place(const struct sm_arena *a, const struct sm_queue_shm *q, sm_off_t item) {
    const struct sm_place_shm *ring = sm_at(a, q->q_ring);
    for (uint32_t i = 0; i < q->q_depth; i++) {
        if (ring[i].pl_turn != 0 && ((ring[i].pl_turn - 1) & (q->q_depth - 1)) == i && ring[i].pl_item == item) {
            return true;
        }
    }
    return false;
}

static int count_due(const struct sm_slab_ref *s, void *ctx) {
    struct verdict *d = ctx;
    const struct sm_arena *a = d->d_world->w_survivor.c_arena;
    for (uint32_t i = 0; i < a->a_kegs[s->sr_keg].k_items; i++) {
        uint64_t w = s->sr_words[i];
        for (uint32_t id = 0; id < QUEUES; id++) {
            if (a->a_queues[id].q_state == SM_ZONE_LIVE) {
                d->d_due[id] += (SM_ST_KIND(w) == SM_QUEUED && SM_ST_CPU(w) == id) ||
                                has_place(a, &a->a_queues[id], sm_slab_item(a, s, i));
            }
        }
    }
    return 0;
}

static void drain_queues(struct verdict *d) {
    struct sm_arena *a = d->d_world->w_survivor.c_arena;
    for (uint32_t i = 0; i < a->a_header->h_max_queues; i++) {
        struct sm_queue *q;
        struct sm_zone *z = NULL;
        void *item = NULL;
        enum sm_err err;
        if (a->a_queues[i].q_state == SM_ZONE_FREE) {
            continue;
        }
        if ((err = sm_queue_open(a, a->a_queues[i].q_name, 0, &q)) != SM_OK) {
            bad(d, "queue %u: %s", i, sm_err_name(err));
            continue;
        }
        uint64_t length = sm_queue_length(q), got = 0;
        struct sm_mb *mb = prove_mb(a);
        while ((err = mb ? m_dequeue(mb, q, 0, (struct mbuf **)&item) : sm_queue_get(q, 0, &z, &item)) == SM_OK) {
            if (mb) {
                hold_packet(d, item);
            } else {
                hold(d, z, item);
            }
            d->d_queued++;
            got++;
        }
        if (i < QUEUES && got != d->d_due[i]) { /* the word or the place: an item leaves with the last of them */
            bad(d, "queue %u: %llu items, %llu were in it", i, (unsigned long long)got,
                (unsigned long long)d->d_due[i]);
            d->d_out->v_lost++;
        }
        if (err != SM_EMPTY || got != length) {
            bad(d, "queue %u: %llu of %llu items, then %s", i, (unsigned long long)got, (unsigned long long)length,
                sm_err_name(err));
        }
        /* It goes on working: a whole lap through the ring. */
        for (uint64_t lap = 0; got > 0 && mb == NULL && lap < 2 * sm_queue_depth(q); lap++) {
            if ((err = sm_queue_put(q, z, d->d_held[d->d_n - 1].e_mem, 0)) != SM_OK ||
                (err = sm_queue_get(q, 0, &z, &item)) != SM_OK || item != d->d_held[d->d_n - 1].e_mem) {
                bad(d, "queue %u after the drain: %s", i, sm_err_name(err));
                break;
            }
        }
        sm_queue_close(q);
    }
}

static int adopt_slab(const struct sm_slab_ref *slab, void *ctx) {
    struct verdict *d = ctx;
    struct sm_arena *a = d->d_world->w_survivor.c_arena;
    for (uint32_t i = 0; i < a->a_kegs[slab->sr_keg].k_items; i++) {
        uint64_t w = slab->sr_words[i];
        struct sm_zone *z;
        void *mem;
        bool kept = SM_ST_KIND(w) == SM_HELD && SM_ST_CPU(w) == SM_CPU_NONE;
        if (SM_ST_KIND(w) == SM_CONSTRUCTING || SM_ST_KIND(w) == SM_QUEUED) {
            bad(d, "item %u of the slab at page %u is left in state %u", i, slab->sr_page, SM_ST_KIND(w));
        }
        if (SM_ST_KIND(w) == SM_TICKETED || kept) {
            struct sm_handle h = {sm_slab_item(a, slab, i), SM_ST_GEN(w), SM_ST_ZONE(w)};
            enum sm_err err = sm_zone_adopt(a, h, &z, &mem);
            if (err == SM_OK) {
                hold(d, z, mem);
                d->d_kept++;
            } else {
                bad(d, "adopting item %u of page %u: %s", i, slab->sr_page, sm_err_name(err));
            }
        }
    }
    return 0;
}

/* What the peer has: items it holds, and slabs that it is making. */
struct peer_count {
    uint32_t pc_keg;
    uint64_t pc_items;
    uint32_t pc_unborn;
    const struct sm_arena *pc_arena;
};

static int count_peer(const struct sm_slab_ref *s, void *ctx) {
    struct peer_count *pc = ctx;
    for (uint32_t i = 0; s->sr_keg == pc->pc_keg && i < pc->pc_arena->a_kegs[s->sr_keg].k_items; i++) {
        pc->pc_items += SM_ST_KIND(s->sr_words[i]) == SM_HELD && SM_ST_CPU(s->sr_words[i]) == 1;
    }
    return 0;
}

static void count_unborn(struct peer_count *pc) {
    const struct sm_arena *a = pc->pc_arena;
    for (uint64_t page = 0; page < a->a_ctl->ctl_frontier; page++) {
        uint64_t e = a->a_pagedir[page], meta = (uint64_t)SM_PG_BLK(e) * SM_BLOCK_UNIT >> SM_PAGE_SHIFT;
        pc->pc_unborn += SM_PG_KIND(e) == SM_PG_RESERVED && SM_PG_IDX(e) == 0 && SM_PG_KEG(e) == 1 &&
                         SM_META_KEG(a->a_metadir[meta]) == pc->pc_keg;
    }
    pc->pc_items += (uint64_t)pc->pc_unborn * a->a_kegs[pc->pc_keg].k_items;
}

/* Every limited keg to its limit: exactly as many items as it says, no two of them the same memory. */
static void allocate_everything(struct verdict *d) {
    struct sm_arena *a = d->d_world->w_survivor.c_arena;
    for (uint32_t id = 0; id < a->a_header->h_max_zones; id++) {
        const struct sm_zone_shm *zs = &a->a_zones[id];
        struct sm_zone *z;
        void *mem;
        enum sm_err err = SM_OK;
        if (zs->z_state == SM_ZONE_FREE || zs->z_flags & SM_ZONE_SECONDARY || a->a_kegs[zs->z_keg].k_max_slabs == 0) {
            continue;
        }
        if ((err = sm_zone_by_id(a, id, &z)) != SM_OK) {
            bad(d, "zone %u: %s", id, sm_err_name(err));
            continue;
        }
        while ((err = sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &mem)) == SM_OK && d->d_n < MOST_HELD) {
            if (z->z_fn[SM_CB_INIT] && !(z->z_flags & SM_ZONE_MBUF) && !callback_inited(mem, z->z_item_bytes)) {
                bad(d, "zone %s gave out an item without its init", zs->z_name);
                d->d_out->v_lost++;
            }
            hold(d, z, mem);
        }
        uint64_t limit = sm_zone_get_max(z), have = prove_attached(a, z->z_keg_id);
        struct peer_count pc = {.pc_keg = z->z_keg_id, .pc_arena = a};
        (void)sm_slab_each(a, 0, count_peer, &pc);
        count_unborn(&pc);
        for (uint32_t i = 0; i < d->d_n; i++) {
            have += d->d_held[i].e_zone->z_keg_id == z->z_keg_id;
        }
        if (err != SM_LIMIT || have + pc.pc_items != limit) {
            bad(d, "zone %s: %llu items and %llu of the peer's, the limit is %llu, stopped by %s", zs->z_name,
                (unsigned long long)have, (unsigned long long)pc.pc_items, (unsigned long long)limit, sm_err_name(err));
            d->d_out->v_lost += have + pc.pc_items < limit ? limit - have - pc.pc_items : 1;
        }
    }
}

static void free_everything(struct verdict *d) {
    struct sm_arena *a = d->d_world->w_survivor.c_arena;
    uint8_t *mem;
    uint32_t n;
    for (uint32_t i = 0; i < d->d_n; i++) {
        if (prove_fill_area(a, d->d_held[i].e_zone, d->d_held[i].e_mem, &mem, &n)) {
            memset(mem, (int)(i & 0xff), n);
            memcpy(mem, &i, sizeof i);
            d->d_held[i].e_filled = true;
        }
    }
    for (uint32_t i = 0; i < d->d_n; i++) {
        const struct held *e = &d->d_held[i];
        if (e->e_filled && prove_fill_area(a, e->e_zone, e->e_mem, &mem, &n)) {
            uint32_t cookie;
            memcpy(&cookie, mem, sizeof cookie);
            if (cookie != i || (n > sizeof i && mem[n - 1] != (uint8_t)i)) {
                bad(d, "item %u of zone %s was given out twice", i, e->e_zone->z_shm->z_name);
                d->d_out->v_lost++;
            }
        }
        enum sm_err err = sm_zone_free(e->e_zone, e->e_mem, NULL);
        if (err != SM_OK) {
            bad(d, "freeing item %u of zone %s: %s", i, e->e_zone->z_shm->z_name, sm_err_name(err));
            d->d_out->v_lost++;
        }
    }
}

/* Nothing is out but the peer's items: every slab without one of those can be given back. */
static void reclaim_everything(struct verdict *d) {
    struct sm_arena *a = d->d_world->w_survivor.c_arena;
    uint64_t pages, rings = 0, slabs = 0;
    enum sm_err err = sm_arena_reclaim(a, SM_RECLAIM_DRAIN_CPU, &pages);
    if (err != SM_OK) {
        bad(d, "reclaim: %s", sm_err_name(err));
    }
    for (uint32_t keg = 0; keg < a->a_header->h_max_zones; keg++) {
        const struct sm_keg_shm *k = &a->a_kegs[keg];
        struct peer_count pc = {.pc_keg = keg, .pc_arena = a};
        (void)sm_slab_each(a, 0, count_peer, &pc);
        count_unborn(&pc);
        if (k->k_state == SM_KEG_LIVE && k->k_slabs > pc.pc_items) {
            bad(d, "keg %u keeps %u slabs for %llu items", keg, k->k_slabs, (unsigned long long)pc.pc_items);
            d->d_out->v_lost++;
        }
        slabs += k->k_state == SM_KEG_LIVE ? k->k_pages_used : 0;
    }
    for (uint32_t i = 0; i < a->a_header->h_max_queues; i++) {
        rings += a->a_queues[i].q_state == SM_ZONE_LIVE ? a->a_queues[i].q_pages : 0;
    }
    const struct sm_control_shm *ctl = a->a_ctl;
    if (ctl->ctl_free_pages + ctl->ctl_hole_pages + rings + slabs != ctl->ctl_frontier) {
        bad(d, "pages: %llu free + %llu holes + %llu of rings + %llu of slabs of %llu",
            (unsigned long long)ctl->ctl_free_pages, (unsigned long long)ctl->ctl_hole_pages, (unsigned long long)rings,
            (unsigned long long)slabs, (unsigned long long)ctl->ctl_frontier);
        d->d_out->v_lost++;
    }
}

static void look_at_numbers(struct verdict *d) {
    const struct prove_op *op = d->d_world->w_op;
    if (op->o_kept_most != 0 && (d->d_kept < op->o_kept_least || d->d_kept > op->o_kept_most)) {
        bad(d, "%u items kept or in transit, not %u to %u", d->d_kept, op->o_kept_least, op->o_kept_most);
        d->d_out->v_lost++;
    }
    if (op->o_queued_most != 0 && (d->d_queued < op->o_queued_least || d->d_queued > op->o_queued_most)) {
        bad(d, "%u items queued, not %u to %u", d->d_queued, op->o_queued_least, op->o_queued_most);
        d->d_out->v_lost++;
    }
}

/* Tables and their lock: a zone can be made and ended. */
static void make_a_zone(struct verdict *d) {
    struct sm_arena *a = d->d_world->w_survivor.c_arena;
    struct sm_zone_params p = {.zp_name = "afterwards", .zp_bytes = 48};
    struct sm_zone *z;
    uint64_t live;
    enum sm_err err = sm_zone_create(a, &p, &z);
    if (err == SM_OK) {
        err = sm_zone_destroy(z, &live);
    }
    if (err != SM_OK) {
        bad(d, "a new zone: %s", sm_err_name(err));
    }
}

bool prove_verdict(struct prove_world *w, struct prove_verdict *v, bool verbose) {
    struct verdict d = {.d_world = w, .d_out = v, .d_verbose = verbose};
    struct sm_arena *a = w->w_survivor.c_arena;
    struct sm_reap_report r;
    *v = (struct prove_verdict){0};
    callback_wrong_dtors = 0;
    (void)sm_slab_each(a, 0, count_due, &d);
    enum sm_err err = sm_reap(a, &r);
    if (verbose) {
        printf("  reaped: %s, %u CPUs, %llu freed, %llu kept, %llu undone, %llu queued again\n", sm_err_name(err),
               r.rr_cpus, (unsigned long long)r.rr_freed, (unsigned long long)r.rr_kept,
               (unsigned long long)r.rr_undone, (unsigned long long)r.rr_requeued);
    }
    if (err != SM_OK) {
        bad(&d, "reap: %s", sm_err_name(err));
    }
    check(&d, "after the reaper");
    if (!d.d_bad || verbose) {
        look_at_survivors_items(&d);
        look_at_survivors_packets(&d);
        drain_queues(&d);
        if (!prove_empty_sockbufs(a)) {
            bad(&d, "a sockbuf is not what its counters say");
            v->v_lost++;
        }
        (void)sm_slab_each(a, 0, adopt_slab, &d);
        look_at_numbers(&d);
        allocate_everything(&d);
        free_everything(&d);
        check(&d, "after everything was allocated and freed");
        reclaim_everything(&d);
        make_a_zone(&d);
        check(&d, "at the end");
    }
    if (callback_wrong_dtors != 0) {
        bad(&d, "%llu dtors ran on items that were not whole", (unsigned long long)callback_wrong_dtors);
    }
    if (verbose) {
        printf("  %u items were in the survivor's hands; findings %llu, lost %llu\n", d.d_n,
               (unsigned long long)v->v_findings, (unsigned long long)v->v_lost);
    }
    return !d.d_bad;
}
