/* test_userlock_kill.c - holders of and waiters for users' locks die: at each step of each operation, and at random
 * moments with others asleep. Afterwards nobody hangs, the next one is told, and what the lock protects is counted right.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

struct doomed {
    struct harness_gate d_ready;
    int64_t d_steps; /* crash points to pass before the one that kills */
    void (*d_act)(struct sm_arena *a);
    uint64_t d_seed;
    pthread_barrier_t *d_barrier;
};

static struct sm_userlock *of_kind(struct sm_arena *a, const char *name, enum sm_userlock_kind kind) {
    struct sm_userlock_params p = {.up_name = name, .up_kind = kind, .up_permits = kind == SM_UL_SEMAPHORE ? 2 : 0};
    struct sm_userlock *l;
    enum sm_err err = sm_userlock_open(a, &p, &l);
    if (err == SM_NOT_FOUND) {
        err = sm_userlock_create(a, &p, &l);
    }
    EXPECT_OK(err);
    return l;
}

static bool got(enum sm_err err) {
    EXPECT(err == SM_OK || err == SM_OWNER_DIED, "acquire gave %s", sm_err_name(err));
    return err == SM_OWNER_DIED;
}

static void count_down(void *ctx, uint32_t step) {
    if (--((struct doomed *)ctx)->d_steps < 0) {
        kill(getpid(), SIGKILL);
    }
}

static void die_at_a_step(struct harness *h, void *ctx) {
    struct doomed *d = ctx;
    struct sm_arena *a = harness_attach(h, "doomed");
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = d, .h_crash = count_down};
    sm_arena_set_hooks(a, &hooks);
    d->d_act(a);
    sm_arena_set_hooks(a, NULL);
    sm_arena_close(a);
}

static void act_mutex(struct sm_arena *a) {
    struct sm_userlock *m = of_kind(a, "m", SM_UL_MUTEX);
    (void)got(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
    EXPECT_OK(sm_userlock_repaired(m));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
}

static void act_readers(struct sm_arena *a) {
    struct sm_userlock *m = of_kind(a, "rw", SM_UL_RWLOCK);
    (void)got(sm_userlock_acquire(m, SM_SHARED, -1));
    (void)got(sm_userlock_acquire(m, SM_SHARED, -1));
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
}

static void act_sx(struct sm_arena *a) {
    struct sm_userlock *m = of_kind(a, "sx", SM_UL_SX);
    (void)got(sm_userlock_acquire(m, SM_SHARED, -1));
    (void)got(sm_userlock_upgrade(m));
    EXPECT_OK(sm_userlock_repaired(m));
    EXPECT_OK(sm_userlock_downgrade(m));
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
}

static void act_semaphore(struct sm_arena *a) {
    struct sm_userlock *m = of_kind(a, "s", SM_UL_SEMAPHORE);
    (void)got(sm_userlock_acquire(m, SM_SHARED, -1));
    (void)got(sm_userlock_acquire(m, SM_SHARED, -1));
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
    EXPECT_OK(sm_userlock_release(m, SM_SHARED));
}

static void act_condition(struct sm_arena *a) {
    struct sm_userlock *m = of_kind(a, "m", SM_UL_MUTEX), *c;
    struct sm_userlock_params p = {.up_name = "c", .up_kind = SM_UL_CONDITION, .up_mutex = m};
    enum sm_err err = sm_userlock_open(a, &p, &c);
    if (err == SM_NOT_FOUND) {
        err = sm_userlock_create(a, &p, &c);
    }
    EXPECT_OK(err);
    (void)got(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
    err = sm_condition_wait(c, 1000);
    EXPECT(err == SM_TIMEOUT || err == SM_OWNER_DIED || err == SM_OK, "wait gave %s", sm_err_name(err));
    EXPECT_OK(sm_condition_notify(c, 1));
    EXPECT_OK(sm_userlock_repaired(m));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
}

static void act_make_and_destroy(struct sm_arena *a) {
    struct sm_userlock *m = of_kind(a, "brief", SM_UL_RWLOCK);
    (void)got(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_destroy(m));
}

static void act_leave_holding(struct sm_arena *a) {
    (void)got(sm_userlock_acquire(of_kind(a, "m", SM_UL_MUTEX), SM_EXCLUSIVE, -1));
    (void)got(sm_userlock_acquire(of_kind(a, "rw", SM_UL_RWLOCK), SM_SHARED, -1));
    (void)got(sm_userlock_acquire(of_kind(a, "s", SM_UL_SEMAPHORE), SM_SHARED, -1));
    EXPECT_OK(sm_arena_detach(a));
}

/* Kills the actor at its n-th step, for each n until it comes through; each time the survivor uses every lock. */
static void sweep(struct harness *h, void (*act)(struct sm_arena *a)) {
    struct sm_arena *a = h->h_arena;
    struct sm_userlock *m = of_kind(a, "m", SM_UL_MUTEX), *rw = of_kind(a, "rw", SM_UL_RWLOCK);
    struct sm_userlock *sx = of_kind(a, "sx", SM_UL_SX), *s = of_kind(a, "s", SM_UL_SEMAPHORE);
    uint32_t died = 0;
    for (int64_t n = 0;; n++) {
        struct doomed d = {.d_steps = n, .d_act = act};
        pid_t child = harness_fork(h, die_at_a_step, &d);
        siginfo_t end;
        EXPECT_EQ(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
        harness_kill(h, child);
        struct sm_userlock *exclusive[] = {m, rw, sx};
        for (int i = 0; i < 3; i++) {
            if (got(sm_userlock_acquire(exclusive[i], SM_EXCLUSIVE, -1))) {
                EXPECT_EQ(sm_userlock_shared(exclusive[i])->ul_dead_pid, child);
                EXPECT_OK(sm_userlock_repaired(exclusive[i]));
                died++;
            }
            EXPECT_OK(sm_userlock_release(exclusive[i], SM_EXCLUSIVE));
        }
        for (int i = 0; i < 2; i++) { /* both permits are there */
            died += got(sm_userlock_acquire(s, SM_SHARED, -1));
        }
        EXPECT_ERR(sm_userlock_acquire(s, SM_SHARED, 0), SM_BUSY);
        EXPECT_OK(sm_userlock_repaired(s));
        EXPECT_OK(sm_userlock_release(s, SM_SHARED));
        EXPECT_OK(sm_userlock_release(s, SM_SHARED));
        EXPECT_EQ(harness_findings(a, true), 0);
        EXPECT_LT(n, 200);
        if (end.si_code == CLD_EXITED) {
            EXPECT_EQ(end.si_status, 0);
            EXPECT_GT(n, 3);
            break;
        }
        EXPECT_EQ(end.si_status, SIGKILL);
    }
    EXPECT_TRUE(died > 0 || act == act_readers || act == act_make_and_destroy);
    sm_userlock_close(m);
    sm_userlock_close(rw);
    sm_userlock_close(sx);
    sm_userlock_close(s);
}

TEST(a_mutex_survives_a_kill_at_every_step) {
    sweep(h, act_mutex);
}
TEST(an_rwlock_survives_a_reader_killed_at_every_step) {
    sweep(h, act_readers);
}
TEST(an_sx_survives_a_kill_at_every_step_up_and_down) {
    sweep(h, act_sx);
}
TEST(a_semaphore_survives_a_kill_at_every_step) {
    sweep(h, act_semaphore);
}
TEST(a_condition_survives_a_waiter_killed_at_every_step) {
    sweep(h, act_condition);
}
TEST(making_and_destroying_survive_a_kill_at_every_step) {
    sweep(h, act_make_and_destroy);
}
TEST(leaving_with_locks_survives_a_kill_at_every_step) {
    sweep(h, act_leave_holding);
}

/* ---- handed over while others sleep */

static void hold_for_ever(struct harness *h, void *ctx) {
    struct doomed *d = ctx;
    struct sm_arena *a = harness_attach(h, "holder");
    EXPECT_OK(sm_userlock_acquire(of_kind(a, "m", SM_UL_MUTEX), SM_EXCLUSIVE, -1));
    harness_gate_post(&d->d_ready);
    for (;;) {
        pause();
    }
}

static void wait_for_it(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "waiter");
    struct sm_userlock *m = of_kind(a, "m", SM_UL_MUTEX);
    EXPECT_TRUE(got(sm_userlock_acquire(m, SM_EXCLUSIVE, -1))); /* each leaves the mark: nobody repairs */
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
}

TEST(sleepers_get_a_lock_whose_owner_is_killed_and_each_is_told) {
    struct doomed d = {.d_steps = 0};
    struct sm_userlock *m = of_kind(h->h_arena, "m", SM_UL_MUTEX);
    pid_t waiter[4];
    harness_gate_init(h, &d.d_ready);
    pid_t holder = harness_fork(h, hold_for_ever, &d);
    harness_gate_wait(&d.d_ready);
    for (int i = 0; i < 4; i++) {
        waiter[i] = harness_fork(h, wait_for_it, NULL);
    }
    HARNESS_UNTIL(sm_load_rlx(&sm_userlock_shared(m)->ul_excl_waiters) == 4);
    int64_t killed = sm_os_now_ns();
    harness_kill(h, holder);
    for (int i = 0; i < 4; i++) {
        harness_join(h, waiter[i]);
    }
    EXPECT_LT(sm_os_now_ns() - killed, 5000000000ll);
    EXPECT_EQ(sm_load_rlx(&sm_userlock_shared(m)->ul_deaths), 1);
    EXPECT_ERR(sm_userlock_acquire(m, SM_EXCLUSIVE, 0), SM_OWNER_DIED);
    EXPECT_OK(sm_userlock_repaired(m));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    sm_userlock_close(m);
}

TEST(a_try_finds_a_dead_owner_at_once) {
    struct doomed d = {.d_steps = 0};
    struct sm_userlock *m = of_kind(h->h_arena, "m", SM_UL_MUTEX);
    harness_gate_init(h, &d.d_ready);
    pid_t holder = harness_fork(h, hold_for_ever, &d);
    harness_gate_wait(&d.d_ready);
    EXPECT_ERR(sm_userlock_acquire(m, SM_EXCLUSIVE, 0), SM_BUSY);
    harness_kill(h, holder);
    EXPECT_ERR(sm_userlock_acquire(m, SM_EXCLUSIVE, 0), SM_OWNER_DIED);
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_destroy(m)); /* a mark is no hold */
    sm_userlock_close(m);
}

/* ---- at random moments, from outside: between any two instructions */

#define PLAYERS 3
#define ROUNDS 40

struct ledger { /* what a lock protects, in a region of its own: a writer makes the two differ, and equal again */
    uint64_t left, right;
};

static struct ledger *books(struct sm_arena *a) {
    void *mem;
    EXPECT_OK(sm_arena_region(a, "books", 2 * sizeof(struct ledger), 1, &mem));
    return mem;
}

static void play(struct harness *h, void *ctx) {
    struct doomed *d = ctx;
    struct sm_arena *a = harness_attach(h, "player");
    struct sm_userlock *m = of_kind(a, "m", SM_UL_MUTEX), *rw = of_kind(a, "rw", SM_UL_RWLOCK);
    struct sm_userlock *s = of_kind(a, "s", SM_UL_SEMAPHORE);
    struct ledger *book = books(a);
    uint64_t random = d->d_seed;
    harness_gate_post(&d->d_ready);
    for (;;) {
        struct sm_userlock *l = harness_below(&random, 2) ? m : rw;
        struct ledger *b = l == m ? &book[0] : &book[1];
        if (got(sm_userlock_acquire(l, SM_EXCLUSIVE, -1))) {
            b->left = b->right; /* the repair */
            EXPECT_OK(sm_userlock_repaired(l));
        }
        EXPECT_EQ(b->left, b->right);
        b->left++;
        b->right++;
        EXPECT_OK(sm_userlock_release(l, SM_EXCLUSIVE));
        if (!got(sm_userlock_acquire(rw, SM_SHARED, -1))) {
            EXPECT_EQ(book[1].left, book[1].right);
        }
        EXPECT_OK(sm_userlock_release(rw, SM_SHARED));
        (void)got(sm_userlock_acquire(s, SM_SHARED, -1));
        EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    }
}

TEST(players_killed_at_random_moments_leave_every_lock_usable_and_every_book_balanced) {
    struct sm_arena *a = h->h_arena;
    struct sm_userlock *m = of_kind(a, "m", SM_UL_MUTEX), *rw = of_kind(a, "rw", SM_UL_RWLOCK);
    struct sm_userlock *s = of_kind(a, "s", SM_UL_SEMAPHORE);
    struct ledger *book = books(a);
    struct doomed d[PLAYERS];
    pid_t player[PLAYERS];
    for (uint32_t i = 0; i < PLAYERS; i++) {
        harness_gate_init(h, &d[i].d_ready);
        d[i].d_seed = harness_seed_of(h, i);
        player[i] = harness_fork(h, play, &d[i]);
        harness_gate_wait(&d[i].d_ready);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t i = (uint32_t)harness_below(&h->h_random, PLAYERS);
        uint64_t until = sm_load_rlx(&book[0].left) + harness_below(&h->h_random, 2000);
        HARNESS_UNTIL(sm_load_rlx(&book[0].left) >= until);
        harness_kill(h, player[i]);
        d[i].d_seed = harness_random(&h->h_random);
        player[i] = harness_fork(h, play, &d[i]);
        harness_gate_wait(&d[i].d_ready);
    }
    for (uint32_t i = 0; i < PLAYERS; i++) {
        harness_kill(h, player[i]);
    }
    struct sm_userlock *exclusive[] = {m, rw};
    for (int i = 0; i < 2; i++) {
        if (got(sm_userlock_acquire(exclusive[i], SM_EXCLUSIVE, -1))) {
            book[i].left = book[i].right;
        }
        EXPECT_EQ(book[i].left, book[i].right);
        EXPECT_OK(sm_userlock_release(exclusive[i], SM_EXCLUSIVE));
    }
    (void)got(sm_userlock_acquire(s, SM_SHARED, 0));
    (void)got(sm_userlock_acquire(s, SM_SHARED, 0));
    EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    sm_userlock_close(m);
    sm_userlock_close(rw);
    sm_userlock_close(s);
}
