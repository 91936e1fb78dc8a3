/* test_mbuf_damage.c - chains whose links, windows or storage an overrun has changed: every function says so and ends, and
 * m_sanity mends what can be mended. Owns a table of damages and a table of calls; each meets each.
 */
#include "mbuf_fixture.h"

#define BYTES 1350u
#define SIZES 50, 100, 200, 1000

enum damage {
    CYCLE_TO_HEAD,
    CYCLE_TO_SELF,
    CYCLE_INSIDE,
    LINK_OUTSIDE,
    LINK_CROOKED,
    LINK_TO_FREED,
    LINK_TO_ANOTHERS,
    LINK_TO_TAG,
    LENGTH_TOO_LONG,
    DATA_BEFORE,
    DATA_FAR,
    STORAGE_TOO_LONG,
    STORAGE_FAR,
    STORAGE_TYPE,
    DAMAGES
};

struct victim {
    struct sm_mb *v_mb;
    struct mbuf *v_m[4]; /* the chain: three plain, a cluster last */
    struct mbuf v_saved[4];
    struct m_tag *v_tag;
    struct mbuf *v_anothers;
};

static void victim_make(struct victim *v) {
    struct mbuf *m = CHAIN(v->v_mb, M_PKTHDR, 50, 100, 200), *last = m_get(v->v_mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_TRUE(m_clget(v->v_mb, last, SM_M_NOWAIT)); /* no packet mbuf, which would be cached as it is */
    fill(v->v_mb, last, 1000, 350);
    EXPECT_OK(m_cat(v->v_mb, m, last));
    m->m_pkthdr.ph_len = BYTES;
    for (int i = 0; i < 4; i++, m = m_nextm(v->v_mb, m)) {
        v->v_m[i] = m;
        v->v_saved[i] = *m;
    }
}

static void damage(struct victim *v, enum damage d) {
    struct sm_mb *mb = v->v_mb;
    struct mbuf *freed;
    switch (d) {
    case CYCLE_TO_HEAD:
        v->v_m[3]->m_next = m_off(mb, v->v_m[0]);
        break;
    case CYCLE_TO_SELF:
        v->v_m[2]->m_next = m_off(mb, v->v_m[2]);
        break;
    case CYCLE_INSIDE:
        v->v_m[3]->m_next = m_off(mb, v->v_m[1]);
        break;
    case LINK_OUTSIDE:
        v->v_m[1]->m_next = UINT64_MAX - MSIZE + 1;
        break;
    case LINK_CROOKED:
        v->v_m[1]->m_next += 8;
        break;
    case LINK_TO_FREED:
        freed = CHAIN(mb, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        v->v_m[1]->m_next = m_off(mb, freed);
        EXPECT_OK(m_freem(mb, freed)); /* the others, freed later, are given out before it */
        break;
    case LINK_TO_ANOTHERS:
        v->v_m[1]->m_next = m_off(mb, v->v_anothers);
        break;
    case LINK_TO_TAG:
        v->v_m[1]->m_next = m_off(mb, v->v_tag);
        break;
    case LENGTH_TOO_LONG:
        m_set_len(v->v_m[1], M_LEN_MAX);
        break;
    case DATA_BEFORE:
        m_set(v->v_m[1], m_off(mb, v->v_m[1]), 100);
        break;
    case DATA_FAR:
        m_set(v->v_m[1], (1ull << M_DATA_BITS) - 1, 100);
        break;
    case STORAGE_TOO_LONG:
        v->v_m[3]->m_ext.me_size = 1u << 30;
        break;
    case STORAGE_FAR:
        v->v_m[3]->m_ext.me_buf = UINT64_MAX - 100;
        break;
    case STORAGE_TYPE:
        v->v_m[3]->m_ext.me_type = EXT_NET_DRV;
        break;
    default:
        EXPECT_TRUE(false);
    }
}

/* The chain as it was, for whatever of it is still held. */
static void heal(struct victim *v) {
    struct in_use u;
    for (int i = 3; i >= 0; i--) {
        uint64_t *word;
        EXPECT_OK(sm_zone_lookup(v->v_mb->mb_zone[SM_MBZ_MBUF], v->v_m[i], &word));
        if (SM_ST_KIND(sm_load_rlx(word)) == SM_HELD) {
            uint32_t ext = v->v_m[i]->m_flags & M_EXT;
            EXPECT_EQ(ext, v->v_saved[i].m_flags & M_EXT);
            *v->v_m[i] = v->v_saved[i];
            v->v_m[i]->m_next = 0;
            EXPECT_OK(m_free(v->v_mb, v->v_m[i], NULL));
        }
    }
    u = in_use(v->v_mb);
    EXPECT_EQ(u.u_used[SM_MBZ_MBUF], 1); /* the other CPU's */
}

/* What a call said: SM_OK when it saw nothing wrong. */
typedef enum sm_err (*call_fn)(struct sm_mb *mb, struct mbuf *m);

static uint8_t scratch[65536];

static int ignore(void *arg, void *data, uint32_t len) {
    (void)arg, (void)data, (void)len;
    return 0;
}
static enum sm_err said(struct sm_mb *mb, const void *result) {
    return result == NULL ? mb->mb_err : SM_OK;
}
static enum sm_err copied(struct sm_mb *mb, struct mbuf *copy) {
    return copy == NULL ? mb->mb_err : m_freem(mb, copy);
}
static enum sm_err call_pullup(struct sm_mb *mb, struct mbuf *m) {
    return said(mb, m_pullup(mb, m, 180));
}
static enum sm_err call_copyup(struct sm_mb *mb, struct mbuf *m) {
    return said(mb, m_copyup(mb, m, 170, 4));
}
static enum sm_err call_pulldown(struct sm_mb *mb, struct mbuf *m) {
    uint32_t at;
    return said(mb, m_pulldown(mb, m, 140, 300, &at));
}
static enum sm_err call_split(struct sm_mb *mb, struct mbuf *m) {
    return said(mb, m_split(mb, m, 600, SM_M_NOWAIT));
}
static enum sm_err call_cat(struct sm_mb *mb, struct mbuf *m) {
    struct mbuf *n = m_get(mb, SM_M_NOWAIT, MT_DATA);
    enum sm_err err = m_cat(mb, m, n), other = m_cat(mb, n, m);
    EXPECT_OK(m_free(mb, n, NULL));
    EXPECT_EQ(err, other);
    return err;
}
static enum sm_err call_catpkt(struct sm_mb *mb, struct mbuf *m) {
    struct mbuf *n = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    enum sm_err err = m_catpkt(mb, m, n);
    EXPECT_OK(m_free(mb, n, NULL));
    return err;
}
static enum sm_err call_adj_front(struct sm_mb *mb, struct mbuf *m) {
    return m_adj(mb, m, 360);
}
static enum sm_err call_adj_back(struct sm_mb *mb, struct mbuf *m) {
    return m_adj(mb, m, -1);
}
static enum sm_err call_append(struct sm_mb *mb, struct mbuf *m) {
    return m_append(mb, m, 5000, scratch);
}
static enum sm_err call_copyback(struct sm_mb *mb, struct mbuf *m) {
    return m_copyback(mb, m, 10, 5000, scratch);
}
static enum sm_err call_demote(struct sm_mb *mb, struct mbuf *m) {
    m_demote(mb, m, true);
    return mb->mb_err;
}
static enum sm_err call_fragment(struct sm_mb *mb, struct mbuf *m) {
    return said(mb, m_fragment(mb, m, SM_M_NOWAIT, 50));
}
static enum sm_err call_defrag(struct sm_mb *mb, struct mbuf *m) {
    return said(mb, m_defrag(mb, m, SM_M_NOWAIT));
}
static enum sm_err call_collapse(struct sm_mb *mb, struct mbuf *m) {
    return said(mb, m_collapse(mb, m, SM_M_NOWAIT, 2));
}
static enum sm_err call_unshare(struct sm_mb *mb, struct mbuf *m) {
    return said(mb, m_unshare(mb, m, SM_M_NOWAIT));
}
static enum sm_err call_copym(struct sm_mb *mb, struct mbuf *m) {
    return copied(mb, m_copym(mb, m, 0, M_COPYALL, SM_M_NOWAIT));
}
static enum sm_err call_copypacket(struct sm_mb *mb, struct mbuf *m) {
    return copied(mb, m_copypacket(mb, m, SM_M_NOWAIT));
}
static enum sm_err call_dup(struct sm_mb *mb, struct mbuf *m) {
    return copied(mb, m_dup(mb, m, SM_M_NOWAIT));
}
static enum sm_err call_copydata(struct sm_mb *mb, struct mbuf *m) {
    return m_copydata(mb, m, 0, sizeof scratch, scratch);
}
static enum sm_err call_apply(struct sm_mb *mb, struct mbuf *m) {
    return m_apply(mb, m, 0, UINT32_MAX, ignore, NULL, NULL);
}
static enum sm_err call_getptr(struct sm_mb *mb, struct mbuf *m) {
    uint32_t off;
    return said(mb, m_getptr(mb, m, UINT32_MAX - 1, &off));
}
static enum sm_err call_print(struct sm_mb *mb, struct mbuf *m) {
    EXPECT_GT(m_print(mb, m, -1, (char *)scratch, sizeof scratch), 0);
    return mb->mb_err;
}
static enum sm_err call_sanity(struct sm_mb *mb, struct mbuf *m) {
    return m_sanity(mb, m, false);
}

static const struct {
    const char *name;
    call_fn fn;
    bool reads; /* changes nothing: may be content with what it can reach */
    bool frees; /* on failure */
    bool past; /* asks for more than there is */
} calls[] = {{"m_pullup", call_pullup, false, true, false},
             {"m_copyup", call_copyup, false, true, false},
             {"m_pulldown", call_pulldown, false, true, false},
             {"m_split", call_split, false, false, false},
             {"m_cat", call_cat, false, false, false},
             {"m_catpkt", call_catpkt, false, false, false},
             {"m_adj front", call_adj_front, false, false, false},
             {"m_adj back", call_adj_back, false, false, false},
             {"m_append", call_append, false, false, false},
             {"m_copyback", call_copyback, false, false, false},
             {"m_demote", call_demote, false, false, false},
             {"m_fragment", call_fragment, false, true, false},
             {"m_defrag", call_defrag, false, false, false},
             {"m_collapse", call_collapse, false, false, false},
             {"m_unshare", call_unshare, false, true, false},
             {"m_sanity", call_sanity, false, false, false},
             {"m_copym", call_copym, true, false, false},
             {"m_copypacket", call_copypacket, true, false, false},
             {"m_dup", call_dup, true, false, false},
             {"m_copydata", call_copydata, true, false, true},
             {"m_apply", call_apply, true, false, true},
             {"m_getptr", call_getptr, true, false, true},
             {"m_print", call_print, true, false, false}};

TEST(every_call_names_every_damage_and_ends) {
    struct sm_mb *mb = mbufs(h);
    struct sm_mb *other = NULL;
    EXPECT_OK(sm_mb_open(harness_attach(h, "other"), NULL, &other));
    struct mbuf *theirs = m_get(other, SM_M_NOWAIT, MT_DATA);
    struct victim v = {.v_mb = mb, .v_anothers = m_at(mb, m_off(other, theirs))};
    EXPECT_TRUE((v.v_tag = m_tag_alloc(mb, 1, 1, 0, SM_M_NOWAIT)) != NULL);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (enum damage d = 0; d < DAMAGES; d++) {
            if (calls[i].frees && d >= STORAGE_FAR) {
                continue; /* see the next test */
            }
            victim_make(&v);
            damage(&v, d);
            enum sm_err err = calls[i].fn(mb, v.v_m[0]);
            if (!calls[i].reads || d != STORAGE_TYPE || err != SM_OK) { /* who does not share needs no counter */
                EXPECT(err == (calls[i].past && d == STORAGE_TYPE ? SM_INVALID : SM_CORRUPT), "%s said %s to damage %d",
                       calls[i].name, sm_err_name(err), d);
            }
            heal(&v);
            EXPECT_EQ(harness_findings(h->h_arena, true), 0);
        }
    }
    EXPECT_OK(m_tag_free(mb, v.v_tag));
    EXPECT_OK(m_free(other, theirs, NULL));
}

TEST(a_chain_freed_with_storage_that_makes_no_sense_leaves_that_storage_to_be_found) {
    struct victim v = {.v_mb = mbufs(h)};
    uint64_t found = 0;
    h->h_may_leave_items = h->h_may_leave_findings = true;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (calls[i].frees) {
            victim_make(&v);
            damage(&v, i % 2 ? STORAGE_FAR : STORAGE_TYPE);
            EXPECT_ERR(calls[i].fn(v.v_mb, v.v_m[0]), SM_CORRUPT);
            EXPECT_EQ(in_use(v.v_mb).u_used[SM_MBZ_MBUF], 0);
            EXPECT_EQ(harness_findings(h->h_arena, false), ++found);
        }
    }
}

TEST(sanity_mends_what_can_be_mended) {
    struct sm_mb *mb = mbufs(h);
    struct sm_mb *other = NULL;
    EXPECT_OK(sm_mb_open(harness_attach(h, "other"), NULL, &other));
    struct mbuf *theirs = m_get(other, SM_M_NOWAIT, MT_DATA);
    struct victim v = {.v_mb = mb, .v_anothers = m_at(mb, m_off(other, theirs))};
    EXPECT_TRUE((v.v_tag = m_tag_alloc(mb, 1, 1, 0, SM_M_NOWAIT)) != NULL);
    for (enum damage d = 0; d < DAMAGES; d++) {
        victim_make(&v);
        damage(&v, d);
        if (d >= STORAGE_TOO_LONG) {
            EXPECT_ERR(m_sanity(mb, v.v_m[0], true), SM_CORRUPT);
        } else {
            EXPECT_OK(m_sanity(mb, v.v_m[0], true));
            EXPECT_OK(m_sanity(mb, v.v_m[0], false));
            uint32_t left = mbufs_of(mb, v.v_m[0]);
            uint32_t want = d == CYCLE_TO_SELF ? 3 : d >= LINK_OUTSIDE && d <= LINK_TO_TAG ? 2 : 4;
            EXPECT(left == want, "damage %d: %u mbufs are left", d, left);
            EXPECT_EQ(v.v_m[0]->m_pkthdr.ph_len, m_length(mb, v.v_m[0], NULL));
        }
        heal(&v);
    }
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 20);
    m->m_pkthdr.ph_len = 7;
    EXPECT_ERR(m_sanity(mb, m, false), SM_CORRUPT);
    EXPECT_OK(m_sanity(mb, m, true));
    EXPECT_EQ(m->m_pkthdr.ph_len, 30);
    EXPECT_OK(m_freem(mb, m));
    EXPECT_ERR(m_sanity(mb, m, true), SM_DOUBLE_FREE);
    EXPECT_ERR(m_sanity(mb, v.v_anothers, true), SM_NOT_OWNER);
    EXPECT_ERR(m_sanity(mb, NULL, true), SM_INVALID);
    EXPECT_OK(m_tag_free(mb, v.v_tag));
    EXPECT_OK(m_free(other, theirs, NULL));
}

TEST(what_another_cpu_holds_is_not_changed_nor_freed) {
    struct sm_mb *mb = mbufs(h), *other = NULL;
    EXPECT_OK(sm_mb_open(harness_attach(h, "other"), NULL, &other));
    struct mbuf *theirs = CHAIN(other, M_PKTHDR, SIZES), *m = m_at(mb, m_off(other, theirs));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        enum sm_err err = calls[i].fn(mb, m);
        if (calls[i].fn != call_cat) { /* as the second of two it is part of a chain */
            EXPECT(err == SM_NOT_OWNER, "%s said %s", calls[i].name, sm_err_name(err));
        }
        expect_bytes(other, theirs, 0, BYTES);
    }
    EXPECT_TRUE(m_prepend(mb, m, 1, SM_M_NOWAIT) == NULL && m_prepend_fast(mb, m, 1, SM_M_NOWAIT) == NULL);
    EXPECT_EQ(mb->mb_err, SM_NOT_OWNER);
    EXPECT_OK(m_freem(other, theirs));
}

/* The inline free believes nothing that an overrun may have written. */
TEST(a_packet_mbuf_whose_storage_was_overrun_is_never_cached_with_it) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *good = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    EXPECT_TRUE(good != NULL);
    const sm_off_t buffers[] = {1ull << 39, mb->mb_first - MCLBYTES, good->m_ext.me_buf + 16, m_off(mb, good)};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0] + 2; i++) {
        struct mbuf *m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR), saved = *m;
        if (i < sizeof buffers / sizeof buffers[0]) {
            m->m_ext.me_buf = buffers[i];
        } else if (i == sizeof buffers / sizeof buffers[0]) {
            m->m_ext.me_buf = good->m_ext.me_buf; /* another's, with its own counter */
        } else {
            m->m_ext.me_size = 1u << 20;
        }
        EXPECT_TRUE(!m_free_cached(mb, m));
        *m = saved;
        EXPECT_OK(m_freem(mb, m));
        struct mbuf *again = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
        EXPECT_EQ(m_refcnt(mb, again), 1);
        EXPECT_EQ(again->m_ext.me_size, MCLBYTES);
        EXPECT_OK(m_freem(mb, again));
    }
    EXPECT_OK(m_freem(mb, good));
}

TEST(zones_of_mbufs_are_not_kept_filled_or_fenced) {
    const uint32_t refused[] = {SM_ZONE_KEEP, SM_ZONE_TRASH, SM_ZONE_REDZONE, SM_ZONE_REFCNT};
    struct sm_mb *mb;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const struct sm_mb_params p = {.mp_zone_flags = refused[i]};
        EXPECT_ERR(sm_mb_open(h->h_arena, &p, &mb), SM_INVALID);
    }
    EXPECT_ERR(sm_mb_find(h->h_arena, &mb), SM_NOT_FOUND);
}
