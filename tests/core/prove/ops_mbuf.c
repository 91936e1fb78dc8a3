/* ops_mbuf.c - mbufs: getting, freeing, sharing, shaping, tags, and packets between processes. Each operation is one
 * PROVE_OP. The survivor holds packets whose clusters the victim shares. Source: prove.h.
 */
#include <string.h>

#include "core/queue.h"
#include "mbufs.h"

#define MBUF_OP(id, name, ...) PROVE_OP(id, name, .o_flags = PROVE_MBUFS, __VA_ARGS__)
#define CLUSTERS 16
#define MBUFS 48
#define TAGS 16

static struct mbuf *must(struct sm_mb *mb, struct mbuf *m) {
    if (m == NULL) {
        prove_die(__FILE__, __LINE__, "no mbuf: %s", sm_err_name(mb->mb_err));
    }
    return m;
}

/* A packet of the survivor's, and a copy of it in the queue that shares its storage: mbuf, cluster and packet mbufs. */
static void keep_packet(struct prove_cpu *s, struct sm_mb *mb, struct mbuf *m, uint32_t len) {
    uint32_t key = s->c_packets;
    prove_fill_packet(mb, m, key, len);
    MUST_OK(m_enqueue(mb, s->c_queue, must(mb, m_copypacket(mb, m, SM_M_NOWAIT)), 0));
    s->c_packet[s->c_packets] = m;
    s->c_packet_len[s->c_packets++] = len;
}

static void world_mbufs(struct prove_cpu *s) {
    const struct sm_mb_params p = {.mp_maxusers = 32, .mp_nmbclusters = CLUSTERS};
    struct sm_mb *mb;
    uint64_t effective;
    MUST_OK(sm_mb_open(s->c_arena, &p, &mb));
    MUST_OK(sm_zone_set_max(mb->mb_zone[SM_MBZ_MBUF], MBUFS, &effective));
    MUST_OK(sm_zone_set_max(mb->mb_zone[SM_MBZ_TAG], TAGS, &effective));
    MUST_OK(sm_queue_create(s->c_arena, "q", 8, &s->c_queue));
    keep_packet(s, mb, must(mb, m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR)), 1500);
    struct mbuf *m = must(mb, m_gethdr(mb, SM_M_NOWAIT, MT_DATA));
    m->m_next = m_off(mb, must(mb, m_get(mb, SM_M_NOWAIT, MT_DATA)));
    MUST(m_clget(mb, m_nextm(mb, m), SM_M_NOWAIT));
    keep_packet(s, mb, m, 1000);
}

/* What the victim has: the two shared packets, a cluster packet and a plain mbuf of its own. */
static void setup_packets(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    for (v->c_items = 0; v->c_items < 2; v->c_items++) {
        struct mbuf *m;
        MUST_OK(m_dequeue(mb, v->c_queue, 0, &m));
        v->c_item[v->c_items] = m;
    }
    v->c_item[2] = must(mb, m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR));
    prove_fill_packet(mb, v->c_item[2], 9, 700);
    v->c_item[3] = must(mb, m_gethdr(mb, SM_M_NOWAIT, MT_DATA));
    prove_fill_packet(mb, v->c_item[3], 10, 100);
}

static void setup_warm(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    struct mbuf *m[3];
    for (int i = 0; i < 3; i++) {
        m[i] = must(mb, i == 2 ? m_gethdr(mb, SM_M_NOWAIT, MT_DATA) : m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR));
    }
    for (int i = 0; i < 3; i++) {
        MUST_OK(m_freem(mb, m[i]));
    }
}

static struct mbuf *packet(struct prove_cpu *v, int i) {
    return v->c_item[i];
}

/* ---------------------------------------------------------------- getting and freeing */

static void run_getcl(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR));
}

static void run_get_clget(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    struct mbuf *m = must(mb, m_gethdr(mb, SM_M_NOWAIT, MT_DATA));
    MUST(m_clget(mb, m, SM_M_NOWAIT));
}

static void run_getjcl(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_getjcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR, MJUM9BYTES));
}

/* Until clusters have run out: packet zone inits fail, caches are drained, fills are cut short. */
static void run_getcl_all(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    struct mbuf *m;
    uint32_t n = 0;
    while ((m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR)) != NULL) {
        n++;
    }
    MUST(n > 0 && mb->mb_err == SM_LIMIT);
}

static void run_freem_own(struct prove_cpu *v) {
    MUST_OK(m_freem(prove_mb(v->c_arena), packet(v, 2)));
}

static void run_freem_shared(struct prove_cpu *v) {
    MUST_OK(m_freem(prove_mb(v->c_arena), packet(v, 0)));
    MUST_OK(m_freem(prove_mb(v->c_arena), packet(v, 1)));
}

static void setup_clget(struct prove_cpu *v) {
    run_get_clget(v);
    struct sm_mb *mb = prove_mb(v->c_arena);
    v->c_item[2] = must(mb, m_gethdr(mb, SM_M_NOWAIT, MT_DATA));
    MUST(m_clget(mb, packet(v, 2), SM_M_NOWAIT));
}

MBUF_OP(getcl, "m_getcl", .o_world = world_mbufs, .o_setup = setup_warm, .o_run = run_getcl)
MBUF_OP(getcl_first, "m_getcl-first", .o_world = world_mbufs, .o_run = run_getcl)
MBUF_OP(getcl_all, "m_getcl-until-none", .o_world = world_mbufs, .o_run = run_getcl_all)
MBUF_OP(get_clget, "m_get-m_clget", .o_world = world_mbufs, .o_setup = setup_clget, .o_run = run_get_clget)
MBUF_OP(getjcl, "m_getjcl", .o_world = world_mbufs, .o_run = run_getjcl)
MBUF_OP(freem, "m_freem", .o_world = world_mbufs, .o_setup = setup_packets, .o_run = run_freem_own)
MBUF_OP(freem_cl, "m_freem-cluster", .o_world = world_mbufs, .o_setup = setup_clget, .o_run = run_freem_own)
MBUF_OP(freem_shared, "m_freem-shared", .o_world = world_mbufs, .o_setup = setup_packets, .o_run = run_freem_shared)

/* The survivor's mbufs are gone before the victim's: it is the last to refer to the clusters. */
static void world_last(struct prove_cpu *s) {
    world_mbufs(s);
    while (s->c_packets > 0) {
        MUST_OK(m_freem(prove_mb(s->c_arena), s->c_packet[--s->c_packets]));
    }
}
MBUF_OP(freem_last, "m_freem-last-shared", .o_world = world_last, .o_setup = setup_packets, .o_run = run_freem_shared)

/* ---------------------------------------------------------------- sleeping for a cluster */

/* Every cluster is in a queued packet; the next m_getcl sleeps in the packet zone's init until one comes back. */
static void world_exhausted(struct prove_cpu *s) {
    world_mbufs(s);
    struct sm_mb *mb = prove_mb(s->c_arena);
    struct mbuf *m, *all = NULL;
    while ((m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR)) != NULL) {
        m->m_next = m_off(mb, all);
        all = m;
    }
    MUST_OK(m_enqueue(mb, s->c_queue, all, 0));
}

static void run_getcl_wait(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_getcl(mb, SM_M_WAITOK, MT_DATA, M_PKTHDR));
}

static void wake_by_freem(struct prove_cpu *waker) {
    struct sm_mb *mb = prove_mb(waker->c_arena);
    struct mbuf *m;
    for (int i = 0; i < 3; i++) { /* the survivor's two copies share their clusters */
        MUST_OK(m_dequeue(mb, waker->c_queue, 0, &m));
        MUST_OK(m_freem(mb, m));
    }
}

MBUF_OP(getcl_wait, "m_getcl-sleep", .o_world = world_exhausted, .o_run = run_getcl_wait, .o_wake = wake_by_freem)

/* ---------------------------------------------------------------- sharing and shaping */

static void run_copym(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_copym(mb, packet(v, 0), 0, M_COPYALL, SM_M_NOWAIT));
    (void)must(mb, m_copym(mb, packet(v, 1), 100, 700, SM_M_NOWAIT));
}

static void run_prepend(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_prepend(mb, packet(v, 0), 40, SM_M_NOWAIT));
}

static void run_pullup(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_pullup(mb, packet(v, 0), 100));
}

static void run_split(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_split(mb, packet(v, 1), 500, SM_M_NOWAIT));
}

static void run_defrag(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_defrag(mb, packet(v, 1), SM_M_NOWAIT));
}

MBUF_OP(copym, "m_copym", .o_world = world_mbufs, .o_setup = setup_packets, .o_run = run_copym)
MBUF_OP(prepend, "m_prepend", .o_world = world_mbufs, .o_setup = setup_packets, .o_run = run_prepend)
MBUF_OP(pullup, "m_pullup", .o_world = world_mbufs, .o_setup = setup_packets, .o_run = run_pullup)
MBUF_OP(split, "m_split", .o_world = world_mbufs, .o_setup = setup_packets, .o_run = run_split)
MBUF_OP(defrag, "m_defrag", .o_world = world_mbufs, .o_setup = setup_packets, .o_run = run_defrag)

/* ---------------------------------------------------------------- external storage and tags */

static void run_extadd(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    MUST_OK(m_extadd(mb, packet(v, 3), v->c_item_zone[4], v->c_item[4], v->c_item[4], 256, NULL, 0, 0, 0, EXT_NET_DRV));
}

static void setup_extadd(struct prove_cpu *v) {
    uint32_t type;
    setup_packets(v);
    MUST_OK(sm_malloc_type(v->c_arena, "ext", &type));
    MUST_OK(sm_malloc(v->c_arena, 256, type, SM_M_NOWAIT, 0, &v->c_item_zone[4], &v->c_item[4]));
}

static void setup_ext_freem(struct prove_cpu *v) {
    setup_extadd(v);
    run_extadd(v);
}

static void run_ext_freem(struct prove_cpu *v) {
    MUST_OK(m_freem(prove_mb(v->c_arena), packet(v, 3)));
}

static void run_tags(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    for (uint32_t i = 0; i < 3; i++) {
        struct m_tag *t = m_tag_alloc(mb, 7, i, 20, SM_M_NOWAIT);
        MUST(t != NULL);
        MUST_OK(m_tag_prepend(mb, packet(v, 0), t));
    }
    struct m_tag *t = m_tag_locate(mb, packet(v, 0), 7, 1, NULL);
    MUST(t != NULL);
    MUST_OK(m_tag_delete(mb, packet(v, 0), t));
    MUST_OK(m_tag_copy_chain(mb, packet(v, 2), packet(v, 0), SM_M_NOWAIT));
}

static void setup_tagged(struct prove_cpu *v) {
    setup_packets(v);
    run_tags(v);
}

static void run_freem_tagged(struct prove_cpu *v) {
    MUST_OK(m_freem(prove_mb(v->c_arena), packet(v, 0)));
    MUST_OK(m_freem(prove_mb(v->c_arena), packet(v, 2)));
}

/* The tags change headers: in neither or in one, never in both. */
static void run_move_header(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    MUST_OK(m_move_pkthdr(mb, packet(v, 2), packet(v, 0)));
}

static void run_prepend_tagged(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    struct mbuf *m = must(mb, m_prepend(mb, packet(v, 0), 40, SM_M_NOWAIT));
    MUST(m_tag_first(mb, m) != NULL);
}

static void run_dup_tagged(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_dup(mb, packet(v, 0), SM_M_NOWAIT));
}

static void run_unshare_tagged(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    (void)must(mb, m_unshare(mb, packet(v, 0), SM_M_NOWAIT));
    (void)must(mb, m_fragment(mb, packet(v, 1), SM_M_NOWAIT, 300));
}

MBUF_OP(move_header, "m_move_pkthdr", .o_world = world_mbufs, .o_setup = setup_tagged, .o_run = run_move_header)
MBUF_OP(prepend_tagged, "m_prepend-tags", .o_world = world_mbufs, .o_setup = setup_tagged, .o_run = run_prepend_tagged)
MBUF_OP(dup_tagged, "m_dup-tags", .o_world = world_mbufs, .o_setup = setup_tagged, .o_run = run_dup_tagged)
MBUF_OP(unshare_tagged, "m_unshare-tags", .o_world = world_mbufs, .o_setup = setup_tagged, .o_run = run_unshare_tagged)
MBUF_OP(extadd, "m_extadd", .o_world = world_mbufs, .o_setup = setup_extadd, .o_run = run_extadd)
MBUF_OP(ext_freem, "m_freem-ext", .o_world = world_mbufs, .o_setup = setup_ext_freem, .o_run = run_ext_freem)
MBUF_OP(tags, "m_tags", .o_world = world_mbufs, .o_setup = setup_packets, .o_run = run_tags)
MBUF_OP(tags_free, "m_freem-tags", .o_world = world_mbufs, .o_setup = setup_tagged, .o_run = run_freem_tagged)

/* ---------------------------------------------------------------- between processes */

static void run_enqueue(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    MUST_OK(m_enqueue(mb, v->c_queue, packet(v, 1), 0));
    MUST_OK(m_enqueue(mb, v->c_queue, packet(v, 2), 0));
}

static void run_dequeue(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    struct mbuf *m;
    MUST_OK(m_dequeue(mb, v->c_queue, 0, &m));
    MUST_OK(m_dequeue(mb, v->c_queue, 0, &m));
}

MBUF_OP(enqueue, "m_enqueue", .o_world = world_mbufs, .o_setup = setup_packets, .o_queued_most = 3,
        .o_run = run_enqueue)
MBUF_OP(dequeue, "m_dequeue", .o_world = world_mbufs, .o_queued_most = 3, .o_run = run_dequeue)

/* ---------------------------------------------------------------- the layer itself */

static void world_none(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = 256}, 32);
    prove_hold(s, 0, 2);
}

static void run_open(struct prove_cpu *v) {
    const struct sm_mb_params p = {.mp_maxusers = 32, .mp_nmbclusters = CLUSTERS};
    struct sm_mb *mb;
    MUST_OK(sm_mb_open(v->c_arena, &p, &mb));
}

MBUF_OP(open, "mb-open", .o_world = world_none, .o_run = run_open)
