/* test_mac.c - MAC labels within one process: the switch, the order of calls, unwinding when a policy refuses, copies,
 * every failure injected at every point, the test policy, and damage to labels.
 */
#include <errno.h>

#include "mac_fixture.h"

TEST(labels_are_off_until_somebody_turns_them_on) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    natives();
    uint32_t slot;
    EXPECT_OK(policy_add(mb, "a", MAC_LABEL_MBUFS, &slot));
    struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_TRUE(mac_mbuf_label(mb, m) == NULL);
    EXPECT_EQ(mb->mb_err, SM_NOT_FOUND);
    EXPECT_OK(m_freem(mb, m));
    EXPECT_EQ(mb->mb_shm->mb_labels_made, 0);
    EXPECT_EQ(script[0].s_calls[INIT], 0);
    EXPECT_ERR(sm_mac_set_labelling(mb, 3), SM_INVALID);
    drained(mb);
}

static bool has_label(struct sm_mb *mb) {
    struct mbuf *m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    EXPECT_TRUE(m != NULL);
    bool has = mac_mbuf_label(mb, m) != NULL;
    EXPECT_OK(m_freem(mb, m));
    return has;
}

TEST(labels_for_all_need_no_policy_and_by_policy_one_that_asks) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    uint32_t slot;
    natives();
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_ALL));
    EXPECT_TRUE(has_label(mb));
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_BY_POLICY));
    EXPECT_FALSE(has_label(mb));
    EXPECT_OK(policy_add(mb, "a", 0, &slot));
    EXPECT_FALSE(has_label(mb));
    EXPECT_OK(policy_add(mb, "b", MAC_LABEL_MBUFS, &slot));
    EXPECT_TRUE(has_label(mb));
    EXPECT_EQ(script[0].s_calls[INIT], 1); /* once there are labels every policy has its slot */
    EXPECT_EQ(script[1].s_calls[DESTROY], 1);
    EXPECT_OK(sm_mac_unregister(mb, "b"));
    EXPECT_FALSE(has_label(mb));
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_ALL));
    EXPECT_TRUE(has_label(mb));
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_OFF));
    EXPECT_FALSE(has_label(mb));
    drained(mb);
}

TEST(every_packet_header_gets_a_label_and_plain_mbufs_none) {
    struct sm_mb *mb = labelled(h->h_arena);
    struct mbuf *m[] = {m_gethdr(mb, SM_M_NOWAIT, MT_DATA), m_getcl(mb, SM_M_WAITOK, MT_DATA, M_PKTHDR),
                        m_getjcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR, MJUM9BYTES),
                        m_get2(mb, 3000, SM_M_NOWAIT, MT_DATA, M_PKTHDR),
                        m_getm2(mb, NULL, 10000, SM_M_NOWAIT, MT_DATA, M_PKTHDR)};
    for (size_t i = 0; i < sizeof m / sizeof m[0]; i++) {
        EXPECT_TRUE(m[i] != NULL);
        struct mac_label *l = mac_mbuf_label(mb, m[i]);
        EXPECT_TRUE(l != NULL);
        EXPECT_EQ(l->l_policies, 7);
        EXPECT_EQ(l->l_ready, 7);
        EXPECT_EQ(l->l_slot[2], slot_of(2));
        EXPECT_EQ(l->l_slot[3], 0);
    }
    expect_alive(mb, 5);
    EXPECT_EQ(script[0].s_how, SM_M_NOWAIT);
    struct mbuf *plain = m_getcl(mb, SM_M_NOWAIT, MT_DATA, 0);
    EXPECT_EQ(plain->m_flags & M_PKTHDR, 0);
    EXPECT_OK(m_freem(mb, plain));
    for (size_t i = 0; i < sizeof m / sizeof m[0]; i++) {
        EXPECT_OK(m_freem(mb, m[i]));
    }
    expect_alive(mb, 0);
    for (int i = 0; i < POLICIES; i++) {
        EXPECT_EQ(script[i].s_calls[INIT], 5);
        EXPECT_EQ(script[i].s_calls[DESTROY], 5);
        EXPECT_EQ(script[i].s_empty, 0);
    }
    drained(mb);
}

/* ---------------------------------------------------------------- refusals */

static void refuse_in(struct sm_mb *mb, enum sm_mb_zone which, int how) {
    struct used before = used_now(mb);
    uint64_t fails = zone_stats(mb, which).zs_fails, refused;
    struct sm_mac_policy mo;
    EXPECT_OK(sm_mac_policy(mb, 1, &mo));
    refused = mo.mo_refused;
    memset(script, 0, sizeof script);
    script[1].s_fail_at[INIT] = -1;
    struct mbuf *m = which == SM_MBZ_MBUF ? m_gethdr(mb, how, MT_DATA) : m_getcl(mb, how, MT_DATA, M_PKTHDR);
    EXPECT_TRUE(m == NULL);
    EXPECT_EQ(mb->mb_err, SM_CTOR_FAILED);
    EXPECT_EQ(mb->mb_arena->a_callback_errno, REFUSAL + 1);
    EXPECT_EQ(zone_stats(mb, which).zs_fails, fails + 1);
    EXPECT_OK(sm_mac_policy(mb, 1, &mo));
    EXPECT_EQ(mo.mo_refused, refused + 1);
    EXPECT_EQ(script[0].s_calls[INIT], 1);
    EXPECT_EQ(script[1].s_calls[INIT], 1);
    EXPECT_EQ(script[2].s_calls[INIT], 0);
    for (int i = 0; i < POLICIES; i++) {
        EXPECT_EQ(script[i].s_calls[DESTROY], 1); /* all hear of the end, asked or not */
        EXPECT_EQ(script[i].s_empty, i > 0);
        EXPECT_EQ(script[i].s_how, i < 2 ? how : 0);
    }
    script[1].s_fail_at[INIT] = 0;
    expect_used(mb, &before);
    expect_alive(mb, 0);
}

TEST(when_the_second_policy_refuses_all_three_hear_of_the_end) {
    struct sm_mb *mb = labelled(h->h_arena);
    for (int i = 0; i < 3; i++) {
        refuse_in(mb, SM_MBZ_MBUF, SM_M_NOWAIT);
        refuse_in(mb, SM_MBZ_PACKET, SM_M_NOWAIT);
        EXPECT_TRUE(has_label(mb));
    }
    drained(mb);
}

TEST(a_refusal_reaches_the_caller_also_when_it_would_wait) {
    struct sm_mb *mb = labelled(h->h_arena);
    refuse_in(mb, SM_MBZ_MBUF, SM_M_WAITOK);
    refuse_in(mb, SM_MBZ_PACKET, SM_M_WAITOK);
    drained(mb);
}

TEST(a_copied_header_has_a_label_of_its_own_that_every_policy_filled) {
    struct sm_mb *mb = labelled(h->h_arena);
    struct mbuf *from = m_gethdr(mb, SM_M_NOWAIT, MT_DATA), *to = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    struct m_tag *t = m_tag_alloc(mb, 77, 5, 8, SM_M_NOWAIT);
    EXPECT_OK(m_tag_prepend(mb, from, t));
    EXPECT_OK(m_tag_copy_chain(mb, to, from, SM_M_NOWAIT));
    struct mac_label *l = mac_mbuf_label(mb, to);
    EXPECT_TRUE(l != NULL && l != mac_mbuf_label(mb, from));
    EXPECT_TRUE(m_tag_locate(mb, to, 77, 5, NULL) != NULL);
    for (int i = 0; i < POLICIES; i++) {
        EXPECT_EQ(script[i].s_calls[COPY], 1);
        EXPECT_EQ(script[i].s_calls[INIT], 3);
        EXPECT_EQ(script[i].s_calls[DESTROY], 1); /* the one that `to` had before */
    }
    expect_alive(mb, 2);
    struct used before = used_now(mb);
    before.u_zone[SM_MBZ_TAG] -= 2;
    script[1].s_fail_at[COPY] = 2;
    EXPECT_ERR(m_tag_copy_chain(mb, to, from, SM_M_WAITOK), SM_CTOR_FAILED);
    EXPECT_EQ(h->h_arena->a_callback_errno, REFUSAL + 1);
    EXPECT_TRUE(m_tag_first(mb, to) == NULL); /* a failed copy leaves no tag */
    EXPECT_EQ(script[2].s_calls[COPY], 1);
    EXPECT_EQ(script[2].s_calls[DESTROY], 3);
    expect_used(mb, &before);
    expect_alive(mb, 1);
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_OFF)); /* labels that exist are still copied */
    EXPECT_OK(m_tag_copy_chain(mb, to, from, SM_M_NOWAIT));
    EXPECT_TRUE(mac_mbuf_label(mb, to) != NULL);
    EXPECT_OK(m_freem(mb, from));
    EXPECT_OK(m_freem(mb, to));
    drained(mb);
}

TEST(a_header_without_a_label_gives_none_to_its_copy) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct mbuf *from = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_ALL));
    struct mbuf *to = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_TRUE(mac_mbuf_label(mb, to) != NULL);
    EXPECT_OK(m_tag_copy_chain(mb, to, from, SM_M_NOWAIT));
    EXPECT_TRUE(mac_mbuf_label(mb, to) == NULL);
    EXPECT_OK(m_freem(mb, from));
    EXPECT_OK(m_freem(mb, to));
    drained(mb);
}

/* ---------------------------------------------------------------- injected failures */

struct nth { /* the n-th of the points fails; only == NULL: of every zone or policy */
    int n_at, n_seen;
    enum sm_fault_point n_point; /* SM_FP_COUNT: all of them */
    const char *n_only;
};

static enum sm_err nth_fault(void *ctx, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    static const enum sm_err fails[SM_FP_COUNT] = {
#define FAILS(id, name, err, text) [id] = err,
        SM_FAULT_POINTS(FAILS)
#undef FAILS
    };
    struct nth *n = ctx;
    (void)bytes, (void)flags;
    if ((n->n_point != SM_FP_COUNT && p != n->n_point) || p == SM_FP_LOCK ||
        (n->n_only && (zone == NULL || strcmp(zone, n->n_only) != 0))) {
        return SM_OK;
    }
    return ++n->n_seen == n->n_at ? fails[p] : SM_OK;
}

static bool op_gethdr(struct sm_mb *mb) {
    return m_freem(mb, m_gethdr(mb, SM_M_NOWAIT, MT_DATA)) == SM_OK;
}

static bool op_getcl(struct sm_mb *mb) {
    struct mbuf *m = m_getcl(mb, SM_M_WAITOK, MT_DATA, M_PKTHDR);
    EXPECT_OK(m_freem(mb, m));
    return m != NULL;
}

static bool op_copy(struct sm_mb *mb) {
    struct mbuf *from = m_gethdr(mb, SM_M_NOWAIT, MT_DATA), *to = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    bool ok = false;
    if (from && to) {
        struct m_tag *t = m_tag_alloc(mb, 77, 5, 8, SM_M_NOWAIT);
        ok = t != NULL && m_tag_prepend(mb, from, t) == SM_OK;
        enum sm_err err = m_tag_copy_chain(mb, to, from, SM_M_NOWAIT);
        EXPECT_EQ(err == SM_OK, mac_mbuf_label(mb, to) != NULL);
        ok = ok && err == SM_OK;
    }
    EXPECT_OK(m_freem(mb, from));
    EXPECT_OK(m_freem(mb, to));
    return ok;
}

static bool op_dup(struct sm_mb *mb) {
    struct mbuf *from = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR), *shared = NULL, *dup = NULL;
    if (from && m_append(mb, from, 5, "bytes") == SM_OK) {
        shared = m_copypacket(mb, from, SM_M_NOWAIT);
        dup = m_dup(mb, from, SM_M_WAITOK);
        EXPECT_EQ(shared != NULL, shared && mac_mbuf_label(mb, shared) != NULL);
        EXPECT_EQ(dup != NULL, dup && mac_mbuf_label(mb, dup) != NULL);
    }
    bool ok = shared && dup;
    EXPECT_OK(m_freem(mb, shared));
    EXPECT_OK(m_freem(mb, dup));
    EXPECT_OK(m_freem(mb, from));
    return ok;
}

/* Fails the first, second, ... point until none is reached any more. Returns how many there were. */
static int sweep(struct sm_mb *mb, bool (*op)(struct sm_mb *), enum sm_fault_point point, const char *only) {
    struct nth nth = {.n_point = point, .n_only = only};
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &nth, .h_fault = nth_fault};
    struct used before = used_now(mb);
    do {
        uint64_t pages;
        nth.n_seen = 0;
        nth.n_at++;
        EXPECT_OK(sm_arena_reclaim(mb->mb_arena, SM_RECLAIM_DRAIN_CPU, &pages)); /* every path from the pages up */
        sm_arena_set_hooks(mb->mb_arena, &hooks);
        (void)op(mb);
        sm_arena_set_hooks(mb->mb_arena, NULL);
        expect_used(mb, &before);
        expect_alive(mb, 0);
        EXPECT_LT(nth.n_at, 1000);
    } while (nth.n_seen >= nth.n_at);
    return nth.n_at - 1;
}

TEST(every_failure_at_every_point_leaves_no_label_and_no_item) {
    struct sm_mb *mb = labelled(h->h_arena);
    EXPECT_GT(sweep(mb, op_gethdr, SM_FP_COUNT, NULL), 6);
    EXPECT_GT(sweep(mb, op_getcl, SM_FP_COUNT, NULL), 6);
    EXPECT_GT(sweep(mb, op_copy, SM_FP_COUNT, NULL), 20);
    EXPECT_GT(sweep(mb, op_dup, SM_FP_COUNT, NULL), 20);
    EXPECT_TRUE(op_dup(mb));
    for (int i = 0; i < POLICIES; i++) {
        EXPECT_EQ(script[i].s_calls[INIT] + script[i].s_empty, script[i].s_calls[DESTROY]);
    }
    drained(mb);
}

TEST(failures_can_be_aimed_at_one_policy_or_at_tags) {
    struct sm_mb *mb = labelled(h->h_arena);
    EXPECT_EQ(sweep(mb, op_getcl, SM_FP_MAC, "b"), 1);
    EXPECT_EQ(sweep(mb, op_getcl, SM_FP_MAC, NULL), 3);
    EXPECT_EQ(sweep(mb, op_getcl, SM_FP_TAG, "mbuf_tag"), 1);
    EXPECT_EQ(sweep(mb, op_copy, SM_FP_MAC, "b"), 4);  /* two headers, and the copy: init and copy */
    EXPECT_EQ(sweep(mb, op_copy, SM_FP_TAG, NULL), 5); /* three labels, a tag and its copy */
    struct nth nth = {.n_at = 1, .n_point = SM_FP_TAG};
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &nth, .h_fault = nth_fault};
    sm_arena_set_hooks(h->h_arena, &hooks);
    EXPECT_TRUE(m_gethdr(mb, SM_M_WAITOK, MT_DATA) == NULL);
    EXPECT_EQ(mb->mb_err, SM_NO_MEMORY);
    nth = (struct nth){.n_at = 1, .n_point = SM_FP_MAC};
    EXPECT_TRUE(m_gethdr(mb, SM_M_WAITOK, MT_DATA) == NULL);
    EXPECT_EQ(mb->mb_err, SM_CTOR_FAILED);
    EXPECT_EQ(h->h_arena->a_callback_errno, ENOMEM);
    sm_arena_set_hooks(h->h_arena, NULL);
    drained(mb);
}

TEST(a_full_tag_zone_refuses_the_packet) {
    struct sm_mb *mb = labelled(h->h_arena);
    struct sm_zone *tags = mb->mb_zone[SM_MBZ_TAG];
    struct mbuf *m, *all = NULL;
    uint64_t effective;
    EXPECT_OK(sm_zone_set_max(tags, 1, &effective));
    while ((m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA)) != NULL) {
        m->m_next = m_off(mb, all);
        all = m;
    }
    EXPECT_EQ(mb->mb_err, SM_LIMIT);
    EXPECT_EQ(zone_stats(mb, SM_MBZ_MBUF).zs_used, effective);
    expect_alive(mb, effective);
    EXPECT_OK(m_freem(mb, all));
    drained(mb);
}

/* ---------------------------------------------------------------- the test policy and damage */

static struct m_tag *label_tag(struct sm_mb *mb, struct mbuf *m) {
    return m_tag_find(mb, m, PACKET_TAG_MACLABEL, NULL);
}

static bool event_with(struct sm_arena *a, const char *text) {
    struct sm_event_shm ev = {0};
    while (sm_event_next(a, ev.ev_seq, &ev) == SM_OK) {
        if (strstr(ev.ev_text, text)) {
            return true;
        }
    }
    return false;
}

TEST(mac_test_counts_and_sees_no_violation_where_there_is_none) {
    struct sm_mb *mb = labelled(h->h_arena);
    const struct sm_mac_test_shm *mt = &mb->mb_shm->mb_mac_test;
    uint32_t slot;
    EXPECT_OK(sm_mac_test_register(mb, &slot));
    EXPECT_EQ(slot, 3);
    EXPECT_TRUE(op_copy(mb));
    EXPECT_EQ(mt->mt_made, 3);
    EXPECT_EQ(mt->mt_destroyed, 3);
    EXPECT_EQ(mt->mt_copied, 1);
    script[1].s_fail_at[INIT] = -1;
    EXPECT_FALSE(op_getcl(mb));
    EXPECT_EQ(mt->mt_empty, 1); /* it was not asked, and told of the end */
    EXPECT_EQ(mt->mt_made, 3);
    EXPECT_EQ(mt->mt_violations, 0);
    drained(mb);
}

TEST(mac_test_names_each_kind_of_violation) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    const struct sm_mac_test_shm *mt = &mb->mb_shm->mb_mac_test;
    uint32_t slot;
    EXPECT_OK(sm_mac_test_register(mb, &slot));
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_BY_POLICY));
    struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA), *n = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    struct mac_label *l = mac_mbuf_label(mb, m);
    EXPECT_EQ(l->l_slot[slot] >> 32, MAC_TEST_MAGIC);
    l->l_slot[slot] = (uint64_t)MAC_TEST_DEAD << 32 | 1;
    EXPECT_OK(m_tag_copy_chain(mb, n, m, SM_M_NOWAIT));
    EXPECT_EQ(mt->mt_violations, 1);
    EXPECT_TRUE(event_with(h->h_arena, "copied from a slot that was never initialised"));
    EXPECT_OK(m_freem(mb, m));
    EXPECT_EQ(mt->mt_violations, 2);
    EXPECT_TRUE(event_with(h->h_arena, "destroyed twice"));
    mac_mbuf_label(mb, n)->l_slot[slot] = 0x1234;
    EXPECT_OK(m_freem(mb, n));
    EXPECT_EQ(mt->mt_violations, 3);
    EXPECT_TRUE(event_with(h->h_arena, "wrong magic"));
    drained(mb);
}

TEST(an_overwritten_label_is_found_and_ends_without_its_policies) {
    struct sm_mb *mb = labelled(h->h_arena);
    struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    mac_mbuf_label(mb, m)->l_magic = 0x41414141;
    EXPECT_TRUE(mac_mbuf_label(mb, m) == NULL);
    EXPECT_EQ(mb->mb_err, SM_CORRUPT);
    EXPECT_EQ(harness_findings(h->h_arena, false), 1); /* made one, none alive */
    struct mbuf *n = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_ERR(m_tag_copy_chain(mb, n, m, SM_M_NOWAIT), SM_CORRUPT);
    EXPECT_OK(m_freem(mb, n));
    int heard = script[0].s_calls[DESTROY];
    EXPECT_OK(m_freem(mb, m));
    EXPECT_EQ(script[0].s_calls[DESTROY], heard);
    EXPECT_TRUE(event_with(h->h_arena, "was overwritten"));
    drained(mb);
}

TEST(a_miscount_of_labels_is_a_finding) {
    struct sm_mb *mb = labelled(h->h_arena);
    uint64_t *counters[] = {&mb->mb_shm->mb_labels_made, &mb->mb_shm->mb_labels_ended, &mb->mb_shm->mb_labels_reaped};
    for (int i = 0; i < 3; i++) {
        (*counters[i])++;
        EXPECT_EQ(harness_findings(h->h_arena, false), 1);
        (*counters[i])--;
    }
    EXPECT_TRUE(has_label(mb));
    drained(mb);
}

TEST(users_make_no_labels_and_an_unlinked_one_ends_when_it_is_freed) {
    struct sm_mb *mb = labelled(h->h_arena);
    EXPECT_TRUE(m_tag_alloc(mb, MTAG_ABI_COMPAT, PACKET_TAG_MACLABEL, 72, SM_M_NOWAIT) == NULL);
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    struct m_tag *t = label_tag(mb, m);
    EXPECT_OK(m_tag_unlink(mb, m, t));
    EXPECT_OK(m_freem(mb, m));
    expect_alive(mb, 1);
    EXPECT_EQ(script[2].s_calls[DESTROY], 0);
    EXPECT_OK(m_tag_free(mb, t));
    EXPECT_EQ(script[2].s_calls[DESTROY], 1);
    EXPECT_ERR(m_tag_free(mb, t), SM_DOUBLE_FREE);
    EXPECT_EQ(script[2].s_calls[DESTROY], 1);
    drained(mb);
}

static int labelling_init(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct sm_mb *mb = NULL;
    (void)mem, (void)bytes, (void)arg, (void)how;
    EXPECT_OK(sm_mb_find(ctx, &mb));
    struct mbuf *plain = m_get(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_TRUE(plain != NULL);
    EXPECT_OK(m_freem(mb, plain));
    EXPECT_TRUE(m_gethdr(mb, SM_M_NOWAIT, MT_DATA) == NULL);
    EXPECT_EQ(mb->mb_err, SM_IN_CALLBACK);
    return 0;
}

TEST(a_policy_may_allocate_but_makes_no_labels_itself) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    uint32_t slot;
    EXPECT_OK(sm_zone_register("t.labelling.init", labelling_init));
    struct sm_callback_shm init = callback_named("labelling", "init");
    EXPECT_OK(sm_mac_register(mb, "labelling", MAC_LABEL_MBUFS, &init, &no_callback, &no_callback, &slot));
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_BY_POLICY));
    EXPECT_TRUE(op_gethdr(mb));
    EXPECT_TRUE(has_label(mb));
    drained(mb);
}
