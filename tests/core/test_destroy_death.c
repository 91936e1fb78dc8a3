/* test_destroy_death.c - destroying a zone, a queue or a user's lock at the moment when a peer dies holding a lock that the
 * destruction needs, or when that lock is refused: it recovers and finishes, or everything is as it was.
 */
#include "reap_fixture.h"

#define RECORD_FILLED 0x3a0u /* the admin lock is held */

struct moment { /* the peer is killed when this process has taken the n-th lock of a class */
    struct harness *mo_harness;
    enum sm_lock_class mo_class;
    uint32_t mo_after;
    pid_t mo_victim;
    uint32_t mo_refuse; /* the n-th lock is refused; 0: none */
    uint32_t mo_asked;
    bool mo_refused;
};

static void kill_then(void *ctx, enum sm_lock_class cls, uint64_t instance, int taken) {
    struct moment *m = ctx;
    if (taken && cls == m->mo_class && m->mo_victim != 0 && m->mo_after-- == 0) {
        harness_kill(m->mo_harness, m->mo_victim);
        m->mo_victim = 0;
    }
}

static enum sm_err refuse_nth(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    struct moment *m = ctx;
    if (point == SM_FP_LOCK && ++m->mo_asked == m->mo_refuse) {
        m->mo_refused = true;
        return SM_STALLED;
    }
    return SM_OK;
}

static void act_create_zone(struct sm_arena *a) {
    (void)harness_zone(a, "never", 64, 0);
}

static void act_new_slab(struct sm_arena *a) {
    use(a, "other");
}

/* A peer has stopped itself with a lock held, and dies as soon as this process has the quiesce lock: too late for anybody
 * to have recovered before. */
static void arm(struct harness *h, struct moment *m, uint32_t step, void (*peer)(struct sm_arena *)) {
    struct actor holder = {.ac_step = step, .ac_signal = SIGSTOP, .ac_act = peer};
    uint32_t cpu;
    actor_gates(h, &holder);
    pid_t victim = actor_start(h, &holder, &cpu);
    actor_to_stop(&holder, victim);
    *m = (struct moment){.mo_harness = h, .mo_class = SM_LC_QUIESCE, .mo_victim = victim};
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_LOCK, .h_ctx = m, .h_lock = kill_then};
    sm_arena_set_hooks(h->h_arena, &hooks);
}

static void expect_recovered(struct harness *h) {
    sm_arena_set_hooks(h->h_arena, NULL);
    EXPECT_OK(sm_reap(h->h_arena, NULL));
    EXPECT_EQ(sm_cpu_count_dead(h->h_arena), 0);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
}

TEST(a_queue_is_destroyed_although_a_peer_dies_with_the_admin_lock_just_then) {
    struct moment m;
    struct sm_queue *q, *again;
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 8, &q));
    arm(h, &m, RECORD_FILLED, act_create_zone);
    EXPECT_OK(sm_queue_destroy(q));
    expect_recovered(h);
    sm_queue_close(q);
    EXPECT_ERR(sm_queue_open(h->h_arena, "q", 0, &again), SM_NOT_FOUND);
}

TEST(a_queue_is_destroyed_although_a_peer_dies_with_the_page_lock_just_then) {
    struct moment m;
    struct sm_queue *q, *again;
    (void)harness_zone(h->h_arena, "other", 300, 0);
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 8, &q));
    arm(h, &m, RUN_TAKEN, act_new_slab);
    EXPECT_OK(sm_queue_destroy(q));
    expect_recovered(h);
    sm_queue_close(q);
    EXPECT_ERR(sm_queue_open(h->h_arena, "q", 0, &again), SM_NOT_FOUND);
}

TEST(a_lock_is_destroyed_although_a_peer_dies_with_the_admin_lock_just_then) {
    struct moment m;
    struct sm_userlock_params up = {.up_name = "m", .up_kind = SM_UL_MUTEX};
    struct sm_userlock *l, *again;
    EXPECT_OK(sm_userlock_create(h->h_arena, &up, &l));
    arm(h, &m, RECORD_FILLED, act_create_zone);
    EXPECT_OK(sm_userlock_destroy(l));
    expect_recovered(h);
    sm_userlock_close(l);
    EXPECT_ERR(sm_userlock_open(h->h_arena, &up, &again), SM_NOT_FOUND);
}

TEST(a_zone_is_destroyed_although_a_peer_dies_with_the_page_lock_just_then) {
    struct moment m;
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    uint64_t live;
    (void)harness_zone(h->h_arena, "other", 300, 0);
    arm(h, &m, RUN_TAKEN, act_new_slab);
    EXPECT_OK(
        sm_zone_destroy(z, &live)); /* its keg has no slab: the state blocks are the first to need the page lock */
    expect_recovered(h);
    EXPECT_ERR(sm_zone_open(h->h_arena, "z", NULL, &z), SM_NOT_FOUND);
}

/* Refuses each lock of a destruction in turn; ends with the run that needed fewer, or could do without that one. Returns how
 * many were refused. */
static uint32_t refuse_each(struct harness *h, enum sm_err (*destroy)(struct sm_arena *a),
                            void (*whole)(struct sm_arena *a)) {
    struct sm_arena *a = h->h_arena;
    for (uint32_t n = 1;; n++) {
        struct moment m = {.mo_refuse = n};
        struct sm_hooks hooks = {
            .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &m, .h_fault = refuse_nth};
        sm_arena_set_hooks(a, &hooks);
        enum sm_err err = destroy(a);
        sm_arena_set_hooks(a, NULL);
        EXPECT_LT(n, 50);
        if (!m.mo_refused) {
            EXPECT_OK(err);
            return n - 1;
        }
        if (err == SM_OK) { /* it was given back without that lock, whose next taker has it rebuilt */
            EXPECT_OK(sm_reap(a, NULL));
            EXPECT_EQ(harness_findings(a, true), 0);
            return n;
        }
        EXPECT_ERR(err, SM_STALLED);
        whole(a);
        EXPECT_EQ(harness_findings(a, true), 0);
    }
}

static enum sm_err destroy_zone(struct sm_arena *a) {
    uint64_t live;
    return sm_zone_destroy(a->a_zone[0], &live);
}
static void zone_whole(struct sm_arena *a) {
    struct sm_zone *z = harness_open_zone(a, "z");
    EXPECT_EQ(z->z_shm->z_state, SM_ZONE_LIVE);
    EXPECT_EQ(z->z_id, 0);
}

TEST(a_zone_whose_destruction_is_refused_any_lock_is_live_and_can_be_destroyed) {
    EXPECT_EQ(harness_zone(h->h_arena, "z", 64, 0)->z_id, 0);
    EXPECT_GE(refuse_each(h, destroy_zone, zone_whole), 5); /* admin, keg, keg, admin, keg, page */
}

static enum sm_err destroy_queue(struct sm_arena *a) {
    struct sm_queue *q;
    EXPECT_OK(sm_queue_open(a, "q", 0, &q));
    enum sm_err err = sm_queue_destroy(q);
    sm_queue_close(q);
    return err;
}
static void queue_whole(struct sm_arena *a) {
    struct sm_zone *z = harness_open_zone(a, "z");
    struct sm_queue *q;
    void *item;
    EXPECT_OK(sm_queue_open(a, "q", 0, &q));
    for (int i = 0; i < 8; i++) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
        EXPECT_OK(sm_queue_put(q, z, item, 0));
    }
    queue_empty(q, 8);
    sm_queue_close(q);
}

TEST(a_queue_whose_destruction_is_refused_any_lock_works_and_can_be_destroyed) {
    struct sm_queue *q;
    (void)harness_zone(h->h_arena, "z", 64, 0);
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 8, &q));
    sm_queue_close(q);
    EXPECT_GE(refuse_each(h, destroy_queue, queue_whole), 2); /* admin, page */
}
