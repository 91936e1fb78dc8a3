/* test_race_userlock.c - threads as CPUs over one mapping, so that ThreadSanitizer sees what locks order: plain writes
 * under each kind of lock, with sleepers, timeouts, upgrades, conditions, and CPUs that leave holding.
 */
#include "harness.h"

#define CPUS 4
#ifdef __SANITIZE_THREAD__
#define ROUNDS 2000
#else
#define ROUNDS 5000
#endif

static struct sm_userlock *of_kind(struct sm_arena *a, const char *name, enum sm_userlock_kind kind) {
    struct sm_userlock_params p = {.up_name = name, .up_kind = kind, .up_permits = kind == SM_UL_SEMAPHORE ? 2 : 0};
    struct sm_userlock *l;
    enum sm_err err = sm_userlock_create(a, &p, &l);
    if (err == SM_EXISTS) {
        err = sm_userlock_open(a, &p, &l);
    }
    EXPECT_OK(err);
    return l;
}

struct plain {
    uint64_t p_value[CPUS * 2]; /* not atomic: the lock orders it */
    uint32_t p_inside;          /* of the semaphore */
};

static void count_under_mutex(struct harness_cpu *c) {
    struct plain *p = c->c_ctx;
    struct sm_userlock *m = of_kind(c->c_arena, "m", SM_UL_MUTEX);
    for (int i = 0; i < ROUNDS; i++) {
        enum sm_err err = sm_userlock_acquire(m, SM_EXCLUSIVE, harness_below(&c->c_random, 4) ? -1 : 20000);
        if (err == SM_OK) {
            p->p_value[0]++;
            p->p_value[1 + c->c_index]++;
            EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
        } else {
            EXPECT_EQ(err, SM_TIMEOUT);
        }
    }
    sm_userlock_close(m);
}

TEST(a_mutex_orders_plain_writes) {
    struct plain p = {{0}, 0};
    harness_run_threads(h, CPUS, count_under_mutex, &p);
    uint64_t sum = 0;
    for (int i = 0; i < CPUS; i++) {
        sum += p.p_value[1 + i];
    }
    EXPECT_EQ(p.p_value[0], sum);
    EXPECT_GT(sum, ROUNDS);
}

static void read_and_write(struct harness_cpu *c) {
    struct plain *p = c->c_ctx;
    enum sm_userlock_kind kind = c->c_harness->h_name[0] == 'r' ? SM_UL_RWLOCK : SM_UL_SX;
    struct sm_userlock *l = of_kind(c->c_arena, "rw", kind);
    for (int i = 0; i < ROUNDS; i++) {
        if (harness_below(&c->c_random, 4) != 0) {
            EXPECT_OK(sm_userlock_acquire(l, SM_SHARED, -1));
            EXPECT_EQ(p->p_value[0], p->p_value[1]);
            if (kind == SM_UL_SX && sm_userlock_upgrade(l) == SM_OK) {
                p->p_value[0]++;
                p->p_value[1]++;
                EXPECT_OK(sm_userlock_downgrade(l));
                EXPECT_EQ(p->p_value[0], p->p_value[1]);
            }
            EXPECT_OK(sm_userlock_release(l, SM_SHARED));
        } else {
            EXPECT_OK(sm_userlock_acquire(l, SM_EXCLUSIVE, -1));
            p->p_value[0]++;
            p->p_value[1]++;
            EXPECT_OK(sm_userlock_release(l, SM_EXCLUSIVE));
        }
    }
    sm_userlock_close(l);
}

TEST(readers_never_see_what_a_writer_has_half_done) {
    struct plain p = {{0}, 0};
    harness_run_threads(h, CPUS, read_and_write, &p);
    EXPECT_EQ(p.p_value[0], p.p_value[1]);
}

TEST(upgrades_and_downgrades_keep_writers_alone) {
    struct plain p = {{0}, 0};
    harness_run_threads(h, CPUS, read_and_write, &p);
    EXPECT_EQ(p.p_value[0], p.p_value[1]);
}

static void enter_two_at_most(struct harness_cpu *c) {
    struct plain *p = c->c_ctx;
    struct sm_userlock *s = of_kind(c->c_arena, "s", SM_UL_SEMAPHORE);
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_OK(sm_userlock_acquire(s, SM_SHARED, -1));
        EXPECT_LT(sm_add_acqrel(&p->p_inside, 1), 2);
        if (harness_below(&c->c_random, 16) == 0) {
            sm_os_yield();
        }
        EXPECT_GT(sm_sub_acqrel(&p->p_inside, 1), 0);
        EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    }
    sm_userlock_close(s);
}

TEST(a_semaphore_never_lets_in_more_than_its_permits) {
    struct plain p = {{0}, 0};
    harness_run_threads(h, CPUS, enter_two_at_most, &p);
    EXPECT_EQ(p.p_inside, 0);
}

/* A baton goes round: each waits for its turn on one condition. */
static void take_turns(struct harness_cpu *c) {
    struct plain *p = c->c_ctx;
    struct sm_userlock *m = of_kind(c->c_arena, "m", SM_UL_MUTEX), *turn;
    struct sm_userlock_params params = {.up_name = "turn", .up_kind = SM_UL_CONDITION, .up_mutex = m};
    enum sm_err err = sm_userlock_create(c->c_arena, &params, &turn);
    EXPECT_OK(err == SM_EXISTS ? sm_userlock_open(c->c_arena, &params, &turn) : err);
    for (int i = 0; i < ROUNDS / 10; i++) {
        EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
        while (p->p_value[0] % CPUS != c->c_index) {
            EXPECT_OK(sm_condition_wait(turn, -1));
        }
        p->p_value[0]++;
        EXPECT_OK(sm_condition_notify(turn, UINT32_MAX));
        EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    }
    sm_userlock_close(turn);
    sm_userlock_close(m);
}

TEST(no_notification_is_lost_when_turns_are_taken) {
    struct plain p = {{0}, 0};
    harness_run_threads(h, CPUS, take_turns, &p);
    EXPECT_EQ(p.p_value[0], CPUS * (ROUNDS / 10));
}

/* CPUs that come, take, and leave without giving back, while others use and check the same locks. */
static void come_and_go(struct harness_cpu *c) {
    struct plain *p = c->c_ctx;
    struct sm_userlock *m = of_kind(c->c_arena, "m", SM_UL_MUTEX), *s = of_kind(c->c_arena, "s", SM_UL_SEMAPHORE);
    for (int i = 0; i < ROUNDS / 20; i++) {
        struct sm_arena *guest = c->c_index % 2 ? NULL : harness_attach_shared(c->c_harness, "guest");
        struct sm_userlock *l = guest ? of_kind(guest, "m", SM_UL_MUTEX) : m;
        enum sm_err err = sm_userlock_acquire(l, SM_EXCLUSIVE, -1);
        EXPECT(err == SM_OK || err == SM_OWNER_DIED, "acquire gave %s", sm_err_name(err));
        p->p_value[0]++;
        if (guest) {
            struct sm_userlock *permit = of_kind(guest, "s", SM_UL_SEMAPHORE);
            (void)sm_userlock_acquire(permit, SM_SHARED, 0);
            sm_userlock_close(permit);
            sm_userlock_close(l);
            harness_close(c->c_harness, guest);
        } else {
            EXPECT_OK(sm_userlock_repaired(m));
            EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
            err = sm_userlock_acquire(s, SM_SHARED, -1);
            EXPECT(err == SM_OK || err == SM_OWNER_DIED, "acquire gave %s", sm_err_name(err));
            EXPECT_OK(sm_userlock_release(s, SM_SHARED));
            if (i % 10 == 0) {
                EXPECT_EQ(harness_findings(c->c_arena, true), 0);
            }
        }
    }
    sm_userlock_close(m);
    sm_userlock_close(s);
}

TEST(cpus_that_leave_holding_stop_nobody) {
    struct plain p = {{0}, 0};
    harness_run_threads(h, CPUS, come_and_go, &p);
    EXPECT_EQ(p.p_value[0], CPUS * (ROUNDS / 20));
}
