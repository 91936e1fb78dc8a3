/* test_mac_process.c - MAC policies and labels across processes: the table's rules, policies made in one process and used
 * in another, labels in queues, deaths at every crash point, and policies that come and go while others allocate.
 */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "mac_fixture.h"

/* ---------------------------------------------------------------- the table */

TEST(the_table_refuses_what_it_cannot_hold) {
    struct sm_mb *mb = labelled(h->h_arena);
    struct sm_callback_shm init = callback_named("a", "init"), bad = init;
    char name[SM_NAME_BYTES + 1];
    uint32_t slot = 77;
    memset(name, 'n', sizeof name);
    name[SM_NAME_BYTES] = 0;
    EXPECT_ERR(sm_mac_register(mb, name, 0, &init, &no_callback, &no_callback, &slot), SM_NAME_TOO_LONG);
    EXPECT_ERR(sm_mac_register(mb, "", 0, &init, &no_callback, &no_callback, &slot), SM_INVALID);
    EXPECT_ERR(sm_mac_register(mb, NULL, 0, &init, &no_callback, &no_callback, &slot), SM_INVALID);
    EXPECT_ERR(sm_mac_register(mb, "d", 2, &init, &no_callback, &no_callback, &slot), SM_INVALID);
    EXPECT_ERR(sm_mac_register(mb, "d", 0, &no_callback, &no_callback, &no_callback, &slot), SM_INVALID);
    EXPECT_ERR(sm_mac_register(mb, "a", 0, &init, &no_callback, &no_callback, &slot), SM_EXISTS);
    strcpy(bad.cb_name, "t.nowhere");
    EXPECT_ERR(sm_mac_register(mb, "d", 0, &init, &bad, &no_callback, &slot), SM_UNRESOLVED);
    bad.cb_kind = SM_CB_NAMED; /* no language on top */
    EXPECT_ERR(sm_mac_register(mb, "d", 0, &init, &no_callback, &bad, &slot), SM_UNRESOLVED);
    bad.cb_kind = 9;
    EXPECT_ERR(sm_mac_register(mb, "d", 0, &bad, &no_callback, &no_callback, &slot), SM_INVALID);
    bad.cb_kind = SM_CB_NATIVE;
    memset(bad.cb_name, 'n', sizeof bad.cb_name);
    EXPECT_ERR(sm_mac_register(mb, "d", 0, &bad, &no_callback, &no_callback, &slot), SM_NAME_TOO_LONG);
    EXPECT_EQ(slot, 77);
    name[SM_NAME_BYTES - 1] = 0; /* the longest that fits */
    for (uint32_t i = POLICIES; i < MAC_SLOTS; i++) {
        name[0] = (char)('A' + i);
        EXPECT_OK(sm_mac_register(mb, name, 0, &init, &no_callback, &no_callback, &slot));
        EXPECT_EQ(slot, i);
    }
    EXPECT_ERR(sm_mac_register(mb, "d", 0, &init, &no_callback, &no_callback, &slot), SM_TABLE_FULL);
    EXPECT_ERR(sm_mac_register(mb, "b", 0, &init, &no_callback, &no_callback, &slot), SM_EXISTS);
    EXPECT_OK(sm_mac_unregister(mb, "b"));
    EXPECT_OK(sm_mac_register(mb, "d", 0, &init, &no_callback, &no_callback, &slot));
    EXPECT_EQ(slot, 1); /* the place that is free */
    EXPECT_OK(sm_mac_find(mb, name, &slot));
    EXPECT_EQ(slot, MAC_SLOTS - 1);
    EXPECT_ERR(sm_mac_find(mb, "b", &slot), SM_NOT_FOUND);
}

TEST(policies_are_listed_as_they_were_made) {
    struct sm_mb *mb = labelled(h->h_arena), *observer = NULL;
    struct sm_arena *a = NULL;
    struct sm_mac_policy mo;
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "observer", &a));
    EXPECT_OK(sm_mb_find(a, &observer));
    for (uint32_t i = 0; i < POLICIES; i++) {
        EXPECT_OK(sm_mac_policy(observer, i, &mo));
        EXPECT_STR_EQ(mo.mo_name, policy_names[i]);
        EXPECT_EQ(mo.mo_slot, i);
        EXPECT_STR_EQ(mo.mo_copy.cb_name, callback_named(policy_names[i], "copy").cb_name);
    }
    EXPECT_ERR(sm_mac_policy(observer, POLICIES, &mo), SM_NOT_FOUND);
    EXPECT_ERR(sm_mac_policy(observer, MAC_SLOTS, &mo), SM_INVALID);
    struct sm_callback_shm init = callback_named("a", "init");
    uint32_t slot;
    EXPECT_ERR(sm_mac_register(observer, "x", 0, &init, &no_callback, &no_callback, &slot), SM_READ_ONLY);
    EXPECT_ERR(sm_mac_unregister(observer, "a"), SM_READ_ONLY);
    EXPECT_ERR(sm_mac_set_labelling(observer, MAC_LABELS_OFF), SM_READ_ONLY);
    sm_arena_close(a);
    EXPECT_OK(sm_mac_unregister(mb, "a"));
}

TEST(a_policy_stays_while_labels_would_miss_it) {
    struct sm_mb *mb = labelled(h->h_arena);
    struct mbuf *old = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    uint32_t slot;
    EXPECT_OK(sm_mac_test_register(mb, &slot));
    EXPECT_ERR(sm_mac_unregister(mb, "b"), SM_BUSY);
    EXPECT_OK(sm_mac_unregister(mb, MAC_TEST_NAME)); /* younger than every label */
    EXPECT_ERR(sm_mac_unregister(mb, MAC_TEST_NAME), SM_NOT_FOUND);
    EXPECT_ERR(sm_mac_unregister(mb, NULL), SM_INVALID);
    EXPECT_OK(sm_mac_test_register(mb, &slot));
    struct mbuf *young = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_OK(m_tag_copy_chain(mb, young, old, SM_M_NOWAIT)); /* mac_test has nothing to copy from */
    EXPECT_EQ(mb->mb_shm->mb_mac_test.mt_copied, 0);
    EXPECT_OK(m_freem(mb, old));
    EXPECT_ERR(sm_mac_unregister(mb, MAC_TEST_NAME), SM_BUSY);
    EXPECT_OK(m_freem(mb, young));
    EXPECT_OK(sm_mac_unregister(mb, MAC_TEST_NAME));
    EXPECT_OK(sm_mac_unregister(mb, "b"));
    EXPECT_EQ(mb->mb_shm->mb_mac_test.mt_violations, 0);
    drained(mb);
}

/* ---------------------------------------------------------------- between processes */

struct pair {
    struct harness_gate p_there, p_back;
    uint64_t p_count;
};

static struct sm_mb *mbufs_in_child(struct harness *h) {
    return mbufs_of(harness_attach(h, "child"));
}

static void child_with_policy(struct harness *h, void *ctx) {
    struct pair *p = ctx;
    struct sm_mb *mb = mbufs_in_child(h);
    uint32_t slot;
    natives(); /* known here only */
    EXPECT_OK(policy_add(mb, "a", MAC_LABEL_MBUFS, &slot));
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_BY_POLICY));
    struct sm_queue *q = NULL;
    EXPECT_OK(sm_queue_open(mb->mb_arena, "q", 0, &q));
    EXPECT_OK(m_enqueue(mb, q, m_gethdr(mb, SM_M_NOWAIT, MT_DATA), 0));
    EXPECT_OK(m_enqueue(mb, q, m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR), 0));
    harness_gate_post(&p->p_there);
    harness_gate_wait(&p->p_back);
    EXPECT_EQ(script[0].s_calls[INIT], 2);
    EXPECT_EQ(script[0].s_calls[DESTROY], 0); /* the parent ended them */
}

TEST(a_policy_of_one_process_binds_the_others) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_queue *q = NULL;
    struct pair p;
    struct sm_mac_policy mo;
    struct mbuf *m = NULL;
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 8, &q));
    harness_gate_init(h, &p.p_there);
    harness_gate_init(h, &p.p_back);
    pid_t child = harness_fork(h, child_with_policy, &p);
    harness_gate_wait(&p.p_there);
    struct used before = used_now(mb);
    EXPECT_TRUE(m_gethdr(mb, SM_M_WAITOK, MT_DATA) == NULL); /* its callbacks are unknown here: no packet unjudged */
    EXPECT_EQ(mb->mb_err, SM_UNRESOLVED);
    EXPECT_TRUE(m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR) == NULL);
    EXPECT_EQ(mb->mb_err, SM_UNRESOLVED);
    expect_used(mb, &before);
    expect_alive(mb, 2);
    EXPECT_OK(m_dequeue(mb, q, 0, &m)); /* the label went through the queue with its packet */
    EXPECT_EQ(mac_mbuf_label(mb, m)->l_slot[0], slot_of(0));
    EXPECT_OK(m_freem(mb, m)); /* a free does not fail for want of a callback; the policy does not hear */
    EXPECT_OK(sm_mac_policy(mb, 0, &mo));
    EXPECT_EQ(mo.mo_missed, 1);
    natives();
    m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA); /* looked for again: found */
    EXPECT_TRUE(m != NULL);
    EXPECT_OK(m_freem(mb, m));
    EXPECT_OK(m_dequeue(mb, q, 0, &m));
    EXPECT_OK(m_freem(mb, m));
    EXPECT_EQ(script[0].s_calls[INIT], 1);
    EXPECT_EQ(script[0].s_calls[DESTROY], 2);
    harness_gate_post(&p.p_back);
    harness_join(h, child);
    EXPECT_OK(sm_mac_unregister(mb, "a"));
    sm_queue_close(q);
    drained(mb);
}

static void child_leaves(struct harness *h, void *ctx) {
    struct sm_mb *mb = mbufs_in_child(h);
    (void)ctx;
    struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA), *n = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    EXPECT_TRUE(n != NULL);
    EXPECT_OK(m_tag_unlink(mb, m, m_tag_first(mb, m))); /* a label on no packet */
    EXPECT_OK(sm_arena_detach(mb->mb_arena));
}

TEST(a_process_that_leaves_ends_its_labels_in_order) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    const struct sm_mac_test_shm *mt = &mb->mb_shm->mb_mac_test;
    uint32_t slot;
    EXPECT_OK(sm_mac_test_register(mb, &slot));
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_BY_POLICY));
    harness_join(h, harness_fork(h, child_leaves, NULL));
    expect_alive(mb, 0);
    EXPECT_EQ(mt->mt_made, 2);
    EXPECT_EQ(mt->mt_destroyed, 2);
    EXPECT_EQ(mt->mt_violations, 0);
    EXPECT_EQ(mb->mb_shm->mb_labels_reaped, 0);
    drained(mb);
}

/* ---------------------------------------------------------------- deaths */

static void child_holds_labels(struct harness *h, void *ctx) {
    struct pair *p = ctx;
    struct sm_mb *mb = mbufs_in_child(h);
    struct sm_queue *q = NULL;
    EXPECT_OK(sm_queue_open(mb->mb_arena, "q", 0, &q));
    for (int i = 0; i < 7; i++) {
        EXPECT_TRUE(m_gethdr(mb, SM_M_NOWAIT, MT_DATA) != NULL);
    }
    struct mbuf *m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    EXPECT_OK(m_tag_unlink(mb, m, m_tag_first(mb, m)));
    EXPECT_OK(m_enqueue(mb, q, m_gethdr(mb, SM_M_NOWAIT, MT_DATA), 0));
    harness_gate_post(&p->p_there);
    harness_gate_wait(&p->p_back);
}

TEST(labels_of_a_killed_process_are_reaped_and_their_policies_not_called) {
    struct sm_mb *mb = labelled(h->h_arena);
    struct sm_queue *q = NULL;
    struct mbuf *m = NULL;
    struct pair p;
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 8, &q));
    harness_gate_init(h, &p.p_there);
    harness_gate_init(h, &p.p_back);
    pid_t child = harness_fork(h, child_holds_labels, &p);
    harness_gate_wait(&p.p_there);
    expect_alive(mb, 9);
    EXPECT_ERR(sm_mac_unregister(mb, "c"), SM_BUSY);
    harness_kill(h, child);
    EXPECT_ERR(sm_mac_unregister(mb, "c"), SM_BUSY); /* what it queued is alive */
    EXPECT_EQ(mb->mb_shm->mb_labels_reaped, 8); /* the look for the policy's labels recovered the dead first */
    expect_alive(mb, 1);
    EXPECT_OK(m_dequeue(mb, q, 0, &m));
    EXPECT_EQ(mac_mbuf_label(mb, m)->l_slot[2], slot_of(2));
    EXPECT_OK(m_freem(mb, m));
    EXPECT_EQ(script[2].s_calls[DESTROY], 1);
    EXPECT_OK(sm_mac_unregister(mb, "c"));
    m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA); /* a tag that a dead label lay in */
    EXPECT_EQ(mac_mbuf_label(mb, m)->l_policies, 3);
    EXPECT_OK(m_freem(mb, m));
    sm_queue_close(q);
    drained(mb);
}

/* Dies at the p_count-th crash point; counts them when there are fewer. */
static void die_at(void *ctx, uint32_t step) {
    struct pair *p = ctx;
    (void)step;
    if (--p->p_count == 0) {
        (void)raise(SIGKILL);
    }
}

static void child_dies(struct harness *h, void *ctx) {
    struct pair *p = ctx;
    struct sm_mb *mb = mbufs_in_child(h);
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = p, .h_crash = die_at};
    uint32_t slot;
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_OFF));
    sm_arena_set_hooks(mb->mb_arena, &hooks);
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_BY_POLICY));
    EXPECT_OK(sm_mac_test_register(mb, &slot));
    struct mbuf *m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR), *n = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_TRUE(m != NULL && n != NULL);
    EXPECT_OK(m_tag_copy_chain(mb, n, m, SM_M_NOWAIT));
    EXPECT_OK(m_freem(mb, n));
    EXPECT_OK(m_freem(mb, m));
    EXPECT_OK(sm_mac_unregister(mb, MAC_TEST_NAME));
    sm_arena_set_hooks(mb->mb_arena, NULL);
    harness_gate_post(&p->p_there); /* all of them passed */
    EXPECT_OK(sm_arena_detach(mb->mb_arena));
}

static bool gate_passed(const struct harness_gate *g) {
    struct pollfd fd = {.fd = g->g_read, .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

TEST(a_death_at_any_crash_point_keeps_labels_and_policies_in_step) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct pair p;
    uint64_t n = 0;
    harness_gate_init(h, &p.p_there);
    struct used before = used_now(mb);
    do {
        uint32_t slot;
        p.p_count = ++n;
        pid_t child = harness_fork(h, child_dies, &p);
        EXPECT_EQ(waitid(P_PID, (id_t)child, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
        harness_kill(h, child); /* collects it */
        EXPECT_OK(sm_reap(h->h_arena, NULL));
        expect_used(mb, &before);
        expect_alive(mb, 0);
        enum sm_err there = sm_mac_find(mb, MAC_TEST_NAME, &slot);
        bool by_policy = mb->mb_shm->mb_label_mode == MAC_LABELS_BY_POLICY;
        EXPECT_EQ(mb->mb_shm->mb_labelling, there == SM_OK && by_policy);
        struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
        EXPECT_TRUE(m != NULL);
        EXPECT_EQ(mac_mbuf_label(mb, m) != NULL, there == SM_OK && by_policy);
        EXPECT_OK(m_freem(mb, m));
        EXPECT_EQ(sm_mac_unregister(mb, MAC_TEST_NAME), there);
        EXPECT_EQ(mb->mb_shm->mb_mac_test.mt_violations, 0);
    } while (!gate_passed(&p.p_there));
    EXPECT_GT(n, 60);
    drained(mb);
}

/* ---------------------------------------------------------------- changes while others run */

#define WORKERS 3
#define CHANGES 100

static void worker(struct harness *h, void *ctx) {
    struct pair *p = ctx;
    struct sm_mb *mb = mbufs_in_child(h);
    while (!gate_passed(&p->p_back)) {
        struct mbuf *m = m_getcl(mb, SM_M_WAITOK, MT_DATA, M_PKTHDR), *n = m_gethdr(mb, SM_M_WAITOK, MT_DATA);
        EXPECT(m != NULL && n != NULL, "no packet: %s", sm_err_name(mb->mb_err));
        EXPECT_OK(m_tag_copy_chain(mb, n, m, SM_M_WAITOK));
        EXPECT_OK(m_freem(mb, n));
        EXPECT_OK(m_freem(mb, m));
    }
    EXPECT_OK(sm_arena_detach(mb->mb_arena));
}

TEST(policies_come_and_go_while_others_make_labels) {
    struct sm_mb *mb = labelled(h->h_arena);
    const struct sm_mac_test_shm *mt = &mb->mb_shm->mb_mac_test;
    struct pair p;
    pid_t child[WORKERS];
    uint64_t added = 0, removed = 0, busy = 0;
    uint32_t slot, mode = 0;
    harness_gate_init(h, &p.p_back);
    for (int i = 0; i < WORKERS; i++) {
        child[i] = harness_fork(h, worker, &p);
    }
    HARNESS_UNTIL(({
        enum sm_err err = sm_mac_test_register(mb, &slot);
        EXPECT_TRUE(err == SM_OK || err == SM_EXISTS);
        added += err == SM_OK;
        sm_os_yield();
        err = sm_mac_unregister(mb, MAC_TEST_NAME);
        EXPECT_TRUE(err == SM_OK || err == SM_BUSY);
        removed += err == SM_OK;
        busy += err == SM_BUSY;
        EXPECT_OK(sm_mac_set_labelling(mb, mode++ / 4 % 3));
        added >= CHANGES &&removed >= CHANGES &&busy >= 5 && sm_load_rlx(&mt->mt_copied) >= 5;
    }));
    harness_gate_post(&p.p_back); /* nobody takes the byte: all of them see it */
    for (int i = 0; i < WORKERS; i++) {
        harness_join(h, child[i]);
    }
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_OFF));
    EXPECT_EQ(mt->mt_violations, 0);
    EXPECT_EQ(mt->mt_made, mt->mt_destroyed); /* none lost, none told twice, whoever came and went */
    drained(mb);
}
