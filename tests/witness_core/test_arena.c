/* test_arena.c - an arena's locks under witness, through the hooks alone: two processes that nest two locks in two ways. */
#include "block_fixture.h"

static struct w_block *watched(struct sm_arena *a, struct w_hooking *k) {
    void *mem;
    struct w_block *b;
    struct sm_hooks hooks;
    uint64_t bytes = w_block_bytes(NULL);
    EXPECT_OK(sm_arena_region(a, "witness", bytes, W_VERSION, &mem));
    EXPECT_OK(w_block_format(mem, bytes, NULL, "test:entry"));
    EXPECT_OK(w_block_open(mem, bytes, false, &b));
    EXPECT_OK(w_hooking_init(k, b));
    w_hooking_table(k, &hooks);
    sm_arena_set_hooks(a, &hooks);
    return b;
}

static void unwatched(struct sm_arena *a, struct w_block *b) {
    sm_arena_set_hooks(a, NULL);
    w_block_close(b);
}

static struct sm_userlock *mutex(struct sm_arena *a, const char *name, bool recursive) {
    struct sm_userlock_params p = {.up_name = name, .up_kind = SM_UL_MUTEX, .up_recursive = recursive};
    struct sm_userlock *l;
    enum sm_err err = sm_userlock_create(a, &p, &l);
    EXPECT_OK(err == SM_EXISTS ? sm_userlock_open(a, &p, &l) : err);
    return l;
}

static void take_two(struct sm_arena *a, const char *first, const char *second) {
    struct sm_userlock *p = mutex(a, first, false), *q = mutex(a, second, false);
    EXPECT_OK(sm_userlock_acquire(p, SM_EXCLUSIVE, -1));
    EXPECT_OK(sm_userlock_acquire(q, SM_EXCLUSIVE, -1));
    EXPECT_OK(sm_userlock_release(q, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_release(p, SM_EXCLUSIVE));
    sm_userlock_close(q);
    sm_userlock_close(p);
}

static void other_way_round(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "other");
    static struct w_hooking k;
    struct w_block *b = watched(a, &k);
    take_two(a, "q", "p");
    unwatched(a, b);
    harness_close(h, a);
}

TEST(the_halves_of_a_reversal_in_two_processes_are_put_together) {
    static struct w_hooking k;
    struct w_block *b = watched(h->h_arena, &k);
    take_two(h->h_arena, "p", "q");
    EXPECT_EQ(reports(b), 0);
    pid_t child = harness_fork(h, other_way_round, NULL);
    harness_join(h, child);
    EXPECT_EQ(reports(b), 1);
    const struct w_report_shm *r = last_report(b);
    EXPECT_EQ(r->r_kind, W_R_REVERSAL);
    EXPECT_EQ(r->r_who >> 32, child);
    EXPECT_EQ(b->b_edges[r->r_edge - 1].e_who >> 32, getpid());
    EXPECT_NE(r->r_stack[0], W_NONE);
    EXPECT_NE(r->r_stack[1], W_NONE);
    unwatched(h->h_arena, b);
}

TEST(m_waitok_under_a_lock_follows_the_sysctl) {
    static struct w_hooking k;
    struct w_block *b = watched(h->h_arena, &k);
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0);
    struct sm_userlock *m = mutex(h->h_arena, "m", false);
    void *item, *more[512];
    uint64_t most = 0;
    EXPECT_OK(sm_zone_set_max(z, 1, &most)); /* rounded to a slab */
    EXPECT_LE(most, 512);
    for (int64_t nosleep = 0; nosleep < 2; nosleep++) {
        EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_NOSLEEP, nosleep));
        EXPECT_OK(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item)); /* no lock held: may sleep in any case */
        EXPECT_OK(sm_zone_free(z, item, NULL));
        EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
        EXPECT_OK(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item));
        EXPECT_EQ(reports(b), nosleep + 1);
        EXPECT_EQ(last_report(b)->r_kind, W_R_SLEEP);
        EXPECT_EQ(last_report(b)->r_flags, nosleep ? W_REPORT_FORCED : 0);
        EXPECT_STR_EQ(last_report(b)->r_zone, "frame");
        for (uint64_t n = 1; nosleep && n < most; n++) {
            EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &more[n]));
        }
        if (nosleep) { /* at the limit: not waited for */
            EXPECT_ERR(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &more[0]), SM_LIMIT);
        }
        for (uint64_t n = 1; nosleep && n < most; n++) {
            EXPECT_OK(sm_zone_free(z, more[n], NULL));
        }
        EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
    sm_userlock_close(m);
    unwatched(h->h_arena, b);
}

TEST(a_lock_taken_over_itself_and_one_not_held_are_told_of) {
    static struct w_hooking k;
    struct w_block *b = watched(h->h_arena, &k);
    struct sm_userlock *m = mutex(h->h_arena, "m", false), *r = mutex(h->h_arena, "r", true);
    EXPECT_OK(sm_userlock_acquire(r, SM_EXCLUSIVE, -1));
    EXPECT_OK(sm_userlock_acquire(r, SM_EXCLUSIVE, -1));
    EXPECT_OK(sm_userlock_release(r, SM_EXCLUSIVE));
    EXPECT_EQ(w_thread_self(b)->t_count, 1);
    EXPECT_OK(sm_userlock_release(r, SM_EXCLUSIVE));
    EXPECT_EQ(w_thread_self(b)->t_count, 0);
    EXPECT_EQ(reports(b), 0);
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
    EXPECT_ERR(sm_userlock_acquire(m, SM_EXCLUSIVE, -1), SM_DEADLOCK);
    EXPECT_EQ(last_report(b)->r_kind, W_R_RECURSION);
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_ERR(sm_userlock_release(m, SM_EXCLUSIVE), SM_NOT_OWNER);
    EXPECT_STR_EQ(last_report(b)->r_what, "release of a lock that is not held");
    sm_userlock_close(r);
    sm_userlock_close(m);
    unwatched(h->h_arena, b);
}

TEST(the_allocators_own_locks_keep_their_declared_order) {
    static struct w_hooking k;
    struct w_block *b = watched(h->h_arena, &k);
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0);
    void *items[500];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 500; i++) {
            EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &items[i]));
        }
        for (int i = 0; i < 500; i++) {
            EXPECT_OK(sm_zone_free(z, items[i], NULL));
        }
        uint64_t pages;
        EXPECT_OK(sm_arena_reclaim(h->h_arena, SM_RECLAIM_DRAIN_CPU, &pages));
    }
    EXPECT_EQ(reports(b), 0);
    EXPECT_EQ(w_thread_self(b)->t_count, 0);
    EXPECT_GT(b->b_classes[k.k_core[SM_LC_KEG]].c_acquires, 0);
    EXPECT_GT(b->b_classes[k.k_core[SM_LC_PAGE]].c_acquires, 0);
    EXPECT_GT(w_edge_of(b, *w_cell(b, k.k_core[SM_LC_KEG], k.k_core[SM_LC_PAGE]))->e_count, 0);
    unwatched(h->h_arena, b);
}
