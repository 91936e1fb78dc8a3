/* test_userlock.c - users' locks in one process and between a few: what each kind lets in, what it refuses, deadlines,
 * names, and figures. Deaths are test_userlock_kill.c, races test_race_userlock.c.
 */
#include "harness.h"

#define MS 1000000ll

static struct sm_userlock *made(struct sm_arena *a, const char *name, enum sm_userlock_kind kind, uint32_t permits) {
    struct sm_userlock_params p = {.up_name = name, .up_kind = kind, .up_permits = permits};
    struct sm_userlock *l = NULL;
    EXPECT_OK(sm_userlock_create(a, &p, &l));
    return l;
}

static struct sm_userlock *opened(struct sm_arena *a, const char *name, enum sm_userlock_kind kind) {
    struct sm_userlock_params p = {.up_name = name, .up_kind = kind};
    struct sm_userlock *l = NULL;
    EXPECT_OK(sm_userlock_open(a, &p, &l));
    return l;
}

TEST(a_mutex_lets_one_in_and_only_the_owner_gives_it_back) {
    struct sm_arena *b = harness_attach(h, "b");
    struct sm_userlock *m = made(h->h_arena, "m", SM_UL_MUTEX, 0), *n = opened(b, "m", SM_UL_MUTEX);
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
    EXPECT_TRUE(sm_userlock_held(m, SM_EXCLUSIVE));
    EXPECT_FALSE(sm_userlock_held(n, SM_EXCLUSIVE));
    EXPECT_ERR(sm_userlock_acquire(m, SM_EXCLUSIVE, -1), SM_DEADLOCK);
    EXPECT_ERR(sm_userlock_acquire(n, SM_EXCLUSIVE, 0), SM_BUSY);
    EXPECT_ERR(sm_userlock_acquire(n, SM_EXCLUSIVE, 3 * MS), SM_TIMEOUT);
    EXPECT_ERR(sm_userlock_release(n, SM_EXCLUSIVE), SM_NOT_OWNER);
    EXPECT_ERR(sm_userlock_destroy(n), SM_BUSY);
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_ERR(sm_userlock_release(m, SM_EXCLUSIVE), SM_NOT_OWNER);
    EXPECT_OK(sm_userlock_acquire(n, SM_EXCLUSIVE, 0));
    EXPECT_OK(sm_userlock_release(n, SM_EXCLUSIVE));
    sm_userlock_close(m);
    sm_userlock_close(n);
}

TEST(only_a_recursive_mutex_is_taken_twice_and_given_back_as_often) {
    struct sm_userlock_params p = {.up_name = "m", .up_kind = SM_UL_MUTEX, .up_recursive = true};
    struct sm_arena *b = harness_attach(h, "b");
    struct sm_userlock *m, *n;
    EXPECT_OK(sm_userlock_create(h->h_arena, &p, &m));
    EXPECT_OK(sm_userlock_open(b, &p, &n));
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, 0));
    }
    for (int i = 0; i < 3; i++) {
        EXPECT_ERR(sm_userlock_acquire(n, SM_EXCLUSIVE, 0), SM_BUSY);
        EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    }
    EXPECT_OK(sm_userlock_acquire(n, SM_EXCLUSIVE, 0));
    EXPECT_OK(sm_userlock_release(n, SM_EXCLUSIVE));
    sm_userlock_close(m);
    sm_userlock_close(n);
}

TEST(an_rwlock_lets_many_readers_in_or_one_writer) {
    struct sm_arena *b = harness_attach(h, "b");
    struct sm_userlock *m = made(h->h_arena, "rw", SM_UL_RWLOCK, 0), *n = opened(b, "rw", SM_UL_RWLOCK);
    EXPECT_OK(sm_userlock_acquire(m, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_acquire(m, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_acquire(n, SM_SHARED, 0));
    EXPECT_ERR(sm_userlock_acquire(n, SM_EXCLUSIVE, 0), SM_BUSY);
    EXPECT_ERR(sm_userlock_release(n, SM_EXCLUSIVE), SM_NOT_OWNER);
    EXPECT_OK(sm_userlock_release(n, SM_SHARED));
    EXPECT_ERR(sm_userlock_release(n, SM_SHARED), SM_NOT_OWNER);
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
    EXPECT_OK(sm_userlock_acquire(n, SM_EXCLUSIVE, 0));
    EXPECT_ERR(sm_userlock_acquire(n, SM_SHARED, -1), SM_DEADLOCK);
    EXPECT_ERR(sm_userlock_acquire(m, SM_SHARED, 0), SM_BUSY);
    EXPECT_ERR(sm_userlock_upgrade(m), SM_INVALID);
    EXPECT_OK(sm_userlock_release(n, SM_EXCLUSIVE));
    sm_userlock_close(m);
    sm_userlock_close(n);
}

TEST(an_sx_goes_up_when_alone_and_down_at_any_time) {
    struct sm_arena *b = harness_attach(h, "b");
    struct sm_userlock *m = made(h->h_arena, "sx", SM_UL_SX, 0), *n = opened(b, "sx", SM_UL_SX);
    EXPECT_ERR(sm_userlock_upgrade(m), SM_NOT_OWNER);
    EXPECT_OK(sm_userlock_acquire(m, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_acquire(n, SM_SHARED, 0));
    EXPECT_ERR(sm_userlock_upgrade(m), SM_BUSY);
    EXPECT_ERR(sm_userlock_downgrade(m), SM_NOT_OWNER);
    EXPECT_OK(sm_userlock_release(n, SM_SHARED));
    EXPECT_OK(sm_userlock_upgrade(m));
    EXPECT_TRUE(sm_userlock_held(m, SM_EXCLUSIVE));
    EXPECT_FALSE(sm_userlock_held(m, SM_SHARED));
    EXPECT_ERR(sm_userlock_acquire(n, SM_SHARED, 0), SM_BUSY);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    EXPECT_OK(sm_userlock_downgrade(m));
    EXPECT_OK(sm_userlock_acquire(n, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_release(n, SM_SHARED));
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
    sm_userlock_close(m);
    sm_userlock_close(n);
}

TEST(a_semaphore_lets_in_as_many_as_it_has_permits) {
    struct sm_arena *b = harness_attach(h, "b");
    struct sm_userlock *m = made(h->h_arena, "s", SM_UL_SEMAPHORE, 3), *n = opened(b, "s", SM_UL_SEMAPHORE);
    EXPECT_OK(sm_userlock_acquire(m, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, 0)); /* it has one mode */
    EXPECT_OK(sm_userlock_acquire(n, SM_SHARED, 0));
    EXPECT_ERR(sm_userlock_acquire(n, SM_SHARED, 0), SM_BUSY);
    EXPECT_ERR(sm_userlock_acquire(n, SM_SHARED, 3 * MS), SM_TIMEOUT);
    EXPECT_OK(sm_userlock_release(n, SM_SHARED));
    EXPECT_ERR(sm_userlock_release(n, SM_SHARED), SM_NOT_OWNER);
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
    sm_userlock_close(m);
    sm_userlock_close(n);
}

TEST(a_name_stands_for_one_lock_of_one_kind_with_one_set_of_parameters) {
    struct sm_arena *a = h->h_arena;
    struct sm_userlock *m = made(a, "m", SM_UL_MUTEX, 0), *other = made(a, "other", SM_UL_MUTEX, 0), *x;
    struct sm_userlock *s = made(a, "s", SM_UL_SEMAPHORE, 3), *c;
    struct sm_userlock_params p = {.up_name = "m", .up_kind = SM_UL_MUTEX};
    EXPECT_ERR(sm_userlock_create(a, &p, &x), SM_EXISTS);
    p.up_recursive = true;
    EXPECT_ERR(sm_userlock_open(a, &p, &x), SM_MISMATCH);
    p = (struct sm_userlock_params){.up_name = "m", .up_kind = SM_UL_SX};
    EXPECT_ERR(sm_userlock_create(a, &p, &x), SM_EXISTS);
    EXPECT_ERR(sm_userlock_open(a, &p, &x), SM_MISMATCH);
    p = (struct sm_userlock_params){.up_name = "s", .up_kind = SM_UL_SEMAPHORE, .up_permits = 4};
    EXPECT_ERR(sm_userlock_open(a, &p, &x), SM_MISMATCH);
    p = (struct sm_userlock_params){.up_name = "c", .up_kind = SM_UL_CONDITION, .up_mutex = m};
    EXPECT_OK(sm_userlock_create(a, &p, &c));
    p.up_mutex = other;
    EXPECT_ERR(sm_userlock_open(a, &p, &x), SM_MISMATCH);
    p = (struct sm_userlock_params){.up_name = "none", .up_kind = SM_UL_MUTEX};
    EXPECT_ERR(sm_userlock_open(a, &p, &x), SM_NOT_FOUND);
    sm_userlock_close(m);
    sm_userlock_close(other);
    sm_userlock_close(s);
    sm_userlock_close(c);
}

TEST(parameters_that_make_no_sense_are_refused) {
    struct sm_arena *a = h->h_arena;
    struct sm_userlock *m = made(a, "m", SM_UL_MUTEX, 0), *x;
    const struct sm_userlock_params bad[] = {
        {.up_name = NULL, .up_kind = SM_UL_MUTEX},
        {.up_name = "", .up_kind = SM_UL_MUTEX},
        {.up_name = "x", .up_kind = (enum sm_userlock_kind)0},
        {.up_name = "x", .up_kind = SM_UL_KIND_END},
        {.up_name = "x", .up_kind = SM_UL_RWLOCK, .up_recursive = true},
        {.up_name = "x", .up_kind = SM_UL_SEMAPHORE},
        {.up_name = "x", .up_kind = SM_UL_MUTEX, .up_permits = 2},
        {.up_name = "x", .up_kind = SM_UL_CONDITION},
        {.up_name = "x", .up_kind = SM_UL_MUTEX, .up_mutex = m},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT_ERR(sm_userlock_create(a, &bad[i], &x), SM_INVALID);
    }
    struct sm_userlock_params longest = {.up_name = "0123456789012345678901234567890", .up_kind = SM_UL_MUTEX};
    struct sm_userlock_params too_long = {.up_name = "01234567890123456789012345678901", .up_kind = SM_UL_MUTEX};
    EXPECT_ERR(sm_userlock_create(a, &too_long, &x), SM_NAME_TOO_LONG);
    EXPECT_OK(sm_userlock_create(a, &longest, &x));
    sm_userlock_close(x);
    EXPECT_ERR(sm_condition_notify(m, 1), SM_INVALID);
    EXPECT_ERR(sm_condition_wait(m, 0), SM_INVALID);
    sm_userlock_close(m);
}

TEST(the_table_fills_up_with_an_error_and_a_destroyed_lock_makes_room) {
    struct sm_arena *a = h->h_arena;
    struct sm_userlock *l[SM_MAX_LOCKS], *x;
    char name[SM_NAME_BYTES];
    for (uint32_t i = 0; i < SM_MAX_LOCKS; i++) {
        snprintf(name, sizeof name, "lock %u", i);
        l[i] = made(a, name, SM_UL_MUTEX, 0);
        EXPECT_EQ(sm_userlock_id(l[i]), i);
    }
    struct sm_userlock_params p = {.up_name = "more", .up_kind = SM_UL_RWLOCK};
    EXPECT_ERR(sm_userlock_create(a, &p, &x), SM_TABLE_FULL);
    EXPECT_OK(sm_userlock_destroy(l[77]));
    EXPECT_OK(sm_userlock_create(a, &p, &x));
    EXPECT_EQ(sm_userlock_id(x), 77);
    EXPECT_ERR(sm_userlock_acquire(l[77], SM_EXCLUSIVE, -1), SM_GONE);
    EXPECT_ERR(sm_userlock_release(l[77], SM_EXCLUSIVE), SM_GONE);
    EXPECT_ERR(sm_userlock_destroy(l[77]), SM_GONE);
    EXPECT_FALSE(sm_userlock_held(l[77], SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_acquire(x, SM_EXCLUSIVE, 0));
    EXPECT_OK(sm_userlock_release(x, SM_EXCLUSIVE));
    sm_userlock_close(x);
    for (uint32_t i = 0; i < SM_MAX_LOCKS; i++) {
        sm_userlock_close(l[i]);
    }
}

TEST(figures_say_who_holds_and_how_often_it_was_taken) {
    struct sm_arena *a = h->h_arena, *b = harness_attach(h, "b");
    struct sm_userlock *m = made(a, "m", SM_UL_MUTEX, 0), *s = made(a, "s", SM_UL_SEMAPHORE, 3);
    struct sm_userlock *n = opened(b, "m", SM_UL_MUTEX);
    struct sm_userlock_stats f;
    EXPECT_OK(sm_userlock_acquire(n, SM_EXCLUSIVE, 0));
    EXPECT_ERR(sm_userlock_acquire(m, SM_EXCLUSIVE, 0), SM_BUSY);
    EXPECT_OK(sm_userlock_stats(a, sm_userlock_id(m), &f));
    EXPECT_STR_EQ(f.ls_name, "m");
    EXPECT_EQ(f.ls_kind, SM_UL_MUTEX);
    EXPECT_EQ(f.ls_owner, b->a_cpu_id);
    EXPECT_EQ(f.ls_holds, 1);
    EXPECT_EQ(f.ls_acquires, 1);
    EXPECT_EQ(f.ls_contended, 1);
    EXPECT_OK(sm_userlock_release(n, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_stats(a, sm_userlock_id(m), &f));
    EXPECT_EQ(f.ls_owner, SM_CPU_NONE);
    EXPECT_OK(sm_userlock_acquire(s, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_acquire(s, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_stats(a, sm_userlock_id(s), &f));
    EXPECT_EQ(f.ls_holds, 2);
    EXPECT_EQ(f.ls_permits, 3);
    EXPECT_ERR(sm_userlock_stats(a, 2, &f), SM_NOT_FOUND);
    EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    sm_userlock_close(m);
    sm_userlock_close(n);
    sm_userlock_close(s);
}

TEST(a_cpu_that_leaves_with_locks_is_treated_as_one_that_died) {
    struct sm_arena *a = h->h_arena, *b = harness_attach(h, "b");
    struct sm_userlock *m = made(a, "m", SM_UL_MUTEX, 0), *s = made(a, "s", SM_UL_SEMAPHORE, 2);
    struct sm_userlock *rw = made(a, "rw", SM_UL_RWLOCK, 0);
    struct sm_event_shm e;
    uint32_t left = b->a_cpu_id;
    bool told = false;
    struct sm_userlock *of_b[] = {opened(b, "m", SM_UL_MUTEX), opened(b, "s", SM_UL_SEMAPHORE),
                                  opened(b, "rw", SM_UL_RWLOCK)};
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(sm_userlock_acquire(of_b[i], i == 0 ? SM_EXCLUSIVE : SM_SHARED, 0));
        sm_userlock_close(of_b[i]);
    }
    harness_close(h, b);
    EXPECT_ERR(sm_userlock_acquire(m, SM_EXCLUSIVE, 0), SM_OWNER_DIED);
    EXPECT_EQ(sm_userlock_shared(m)->ul_dead_cpu, left);
    EXPECT_OK(sm_userlock_repaired(m));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, 0));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_ERR(sm_userlock_acquire(s, SM_SHARED, 0), SM_OWNER_DIED);
    EXPECT_ERR(sm_userlock_acquire(s, SM_SHARED, 0), SM_OWNER_DIED); /* its permit is back */
    EXPECT_OK(sm_userlock_repaired(s));
    EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    EXPECT_ERR(sm_userlock_repaired(s), SM_NOT_OWNER);
    EXPECT_OK(sm_userlock_acquire(rw, SM_EXCLUSIVE, 0)); /* a reader leaves nothing half done */
    EXPECT_OK(sm_userlock_release(rw, SM_EXCLUSIVE));
    for (uint64_t after = 0; sm_event_next(a, after, &e) == SM_OK; after = e.ev_seq) {
        told = told || strstr(e.ev_text, "left holding lock m") != NULL;
    }
    EXPECT_TRUE(told);
    sm_userlock_close(m);
    sm_userlock_close(s);
    sm_userlock_close(rw);
}

TEST(a_read_only_attachment_takes_no_lock) {
    struct sm_userlock *m = made(h->h_arena, "m", SM_UL_MUTEX, 0), *n;
    struct sm_userlock_params p = {.up_name = "new", .up_kind = SM_UL_MUTEX};
    struct sm_userlock_stats f;
    struct sm_arena *r;
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "r", &r));
    EXPECT_ERR(sm_userlock_create(r, &p, &n), SM_READ_ONLY);
    n = opened(r, "m", SM_UL_MUTEX);
    EXPECT_ERR(sm_userlock_acquire(n, SM_EXCLUSIVE, 0), SM_READ_ONLY);
    EXPECT_ERR(sm_userlock_release(n, SM_EXCLUSIVE), SM_READ_ONLY);
    EXPECT_OK(sm_userlock_stats(r, 0, &f));
    EXPECT_STR_EQ(f.ls_name, "m");
    sm_userlock_close(n);
    sm_userlock_close(m);
    sm_arena_close(r);
}

struct handover {
    struct harness_gate h_ready;
    int64_t h_hold_ns;
};

static void hold_and_pass_on(struct harness *h, void *ctx) {
    struct handover *w = ctx;
    struct sm_arena *a = harness_attach(h, "holder");
    struct sm_userlock *l = opened(a, "rw", SM_UL_RWLOCK);
    EXPECT_OK(sm_userlock_acquire(l, SM_EXCLUSIVE, -1));
    harness_gate_post(&w->h_ready);
    HARNESS_UNTIL(sm_load_rlx(&sm_userlock_shared(l)->ul_shared_waiters) == 1);
    EXPECT_OK(sm_userlock_release(l, SM_EXCLUSIVE));
}

TEST(a_sleeping_reader_wakes_when_the_writer_of_another_process_is_done) {
    struct handover w;
    struct sm_userlock *l = made(h->h_arena, "rw", SM_UL_RWLOCK, 0);
    harness_gate_init(h, &w.h_ready);
    pid_t child = harness_fork(h, hold_and_pass_on, &w);
    harness_gate_wait(&w.h_ready);
    EXPECT_OK(sm_userlock_acquire(l, SM_SHARED, -1));
    EXPECT_OK(sm_userlock_release(l, SM_SHARED));
    harness_join(h, child);
    sm_userlock_close(l);
}

static void wait_as_writer(struct harness *h, void *ctx) {
    struct handover *w = ctx;
    struct sm_arena *a = harness_attach(h, "writer");
    struct sm_userlock *l = opened(a, "rw", SM_UL_RWLOCK);
    harness_gate_post(&w->h_ready);
    EXPECT_OK(sm_userlock_acquire(l, SM_EXCLUSIVE, -1));
    EXPECT_OK(sm_userlock_release(l, SM_EXCLUSIVE));
}

TEST(a_new_reader_stays_out_while_a_writer_waits_but_one_that_reads_may_read_again) {
    struct handover w;
    struct sm_arena *b = harness_attach(h, "b");
    struct sm_userlock *l = made(h->h_arena, "rw", SM_UL_RWLOCK, 0), *r = opened(b, "rw", SM_UL_RWLOCK);
    harness_gate_init(h, &w.h_ready);
    EXPECT_OK(sm_userlock_acquire(l, SM_SHARED, 0));
    pid_t child = harness_fork(h, wait_as_writer, &w);
    harness_gate_wait(&w.h_ready);
    HARNESS_UNTIL(sm_load_rlx(&sm_userlock_shared(l)->ul_excl_waiters) == 1);
    EXPECT_ERR(sm_userlock_acquire(r, SM_SHARED, 0), SM_BUSY);
    EXPECT_OK(sm_userlock_acquire(l, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_acquire(r, SM_SHARED, -1)); /* patience is rewarded: the writer cannot get in anyway */
    EXPECT_OK(sm_userlock_release(r, SM_SHARED));
    EXPECT_OK(sm_userlock_release(l, SM_SHARED));
    EXPECT_OK(sm_userlock_release(l, SM_SHARED));
    harness_join(h, child);
    sm_userlock_close(l);
    sm_userlock_close(r);
}

static void wait_on_condition(struct harness *h, void *ctx) {
    struct handover *w = ctx;
    struct sm_arena *a = harness_attach(h, "waiter");
    struct sm_userlock *m = opened(a, "m", SM_UL_MUTEX), *c;
    struct sm_userlock_params p = {.up_name = "c", .up_kind = SM_UL_CONDITION, .up_mutex = m};
    EXPECT_OK(sm_userlock_open(a, &p, &c));
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
    harness_gate_post(&w->h_ready);
    EXPECT_OK(sm_condition_wait(c, -1));
    EXPECT_TRUE(sm_userlock_held(m, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
}

TEST(a_condition_gives_the_mutex_back_and_takes_it_again_after_a_notify) {
    struct handover w;
    struct sm_arena *a = h->h_arena;
    struct sm_userlock *m = made(a, "m", SM_UL_MUTEX, 0), *c;
    struct sm_userlock_params p = {.up_name = "c", .up_kind = SM_UL_CONDITION, .up_mutex = m};
    EXPECT_OK(sm_userlock_create(a, &p, &c));
    EXPECT_ERR(sm_condition_wait(c, 0), SM_NOT_OWNER);
    EXPECT_ERR(sm_userlock_acquire(c, SM_EXCLUSIVE, 0), SM_INVALID);
    EXPECT_ERR(sm_userlock_release(c, SM_EXCLUSIVE), SM_INVALID);
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, 0));
    EXPECT_ERR(sm_condition_wait(c, 3 * MS), SM_TIMEOUT);
    EXPECT_TRUE(sm_userlock_held(m, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    harness_gate_init(h, &w.h_ready);
    pid_t child[3];
    for (int i = 0; i < 3; i++) {
        child[i] = harness_fork(h, wait_on_condition, &w);
        harness_gate_wait(&w.h_ready);
    }
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, -1)); /* the last one has given it back: all wait */
    EXPECT_EQ(sm_load_rlx(&sm_userlock_shared(c)->ul_excl_waiters), 3);
    EXPECT_ERR(sm_userlock_destroy(c), SM_BUSY);
    EXPECT_OK(sm_condition_notify(c, UINT32_MAX));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    for (int i = 0; i < 3; i++) {
        harness_join(h, child[i]);
    }
    EXPECT_OK(sm_userlock_destroy(c));
    sm_userlock_close(c);
    sm_userlock_close(m);
}

TEST(a_condition_of_a_recursive_mutex_gives_it_back_at_once_and_takes_it_as_deep) {
    struct sm_arena *a = h->h_arena;
    struct sm_userlock_params p = {.up_name = "m", .up_kind = SM_UL_MUTEX, .up_recursive = true};
    struct sm_userlock *m, *c;
    EXPECT_OK(sm_userlock_create(a, &p, &m));
    p = (struct sm_userlock_params){.up_name = "c", .up_kind = SM_UL_CONDITION, .up_mutex = m};
    EXPECT_OK(sm_userlock_create(a, &p, &c));
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, 0));
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, 0));
    EXPECT_ERR(sm_condition_wait(c, 1 * MS), SM_TIMEOUT);
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_TRUE(sm_userlock_held(m, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_FALSE(sm_userlock_held(m, SM_EXCLUSIVE));
    sm_userlock_close(c);
    sm_userlock_close(m);
}

static void use_inherited(struct harness *h, void *ctx) {
    struct sm_userlock *m = ctx;
    sm_arena_after_fork(h->h_arena);
    EXPECT_FALSE(sm_userlock_held(m, SM_EXCLUSIVE));
    EXPECT_ERR(sm_userlock_release(m, SM_EXCLUSIVE), SM_NOT_OWNER);
    EXPECT_ERR(sm_userlock_acquire(m, SM_EXCLUSIVE, 0), SM_BUSY);
    EXPECT_OK(sm_arena_detach(h->h_arena));
}

TEST(a_forked_child_holds_nothing) {
    struct sm_userlock *m = made(h->h_arena, "m", SM_UL_MUTEX, 0);
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, 0));
    harness_join(h, harness_fork(h, use_inherited, m));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    sm_userlock_close(m);
}
