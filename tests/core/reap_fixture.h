/* reap_fixture.h - processes that stop or kill themselves at a crash point, and the world that they leave to a reaper: what
 * the tests of recovery in company share. Signals only children of the harness.
 */
#ifndef TESTS_CORE_REAP_FIXTURE_H
#define TESTS_CORE_REAP_FIXTURE_H

#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/quiesce.h"
#include "core/reap.h"

#define SOON_MS 60 /* stall_ms where a stall is expected */
#define LATE_MS 30000 /* and where it must not come */
#define HELD_BY_DEAD 10

#define RUN_TAKEN 0x102u /* crash points, by the numbers in the core's sources */
#define PUT_QUEUED 0x502u
#define WORDS_SWEPT 0x701u
#define WORLD_GOES 0x709u

/* ---------------------------------------------------------------- processes that stop, or die, at a step */

struct actor {
    struct harness_gate ac_ready, ac_go;
    uint32_t ac_step; /* 0: none */
    int ac_signal; /* to itself, when it comes there first */
    bool ac_met;
    void (*ac_act)(struct sm_arena *a);
};

static inline void at_step(void *ctx, uint32_t step) {
    struct actor *ac = ctx;
    if (step == ac->ac_step && !ac->ac_met) {
        ac->ac_met = true;
        EXPECT_EQ(raise(ac->ac_signal), 0);
    }
}

static inline void act(struct harness *h, void *ctx) {
    struct actor *ac = ctx;
    struct sm_arena *a = harness_attach(h, "actor");
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = ac, .h_crash = at_step};
    harness_gate_post(&ac->ac_ready);
    harness_gate_wait(&ac->ac_go);
    sm_arena_set_hooks(a, &hooks);
    ac->ac_act(a);
    sm_arena_set_hooks(a, NULL);
    harness_close(h, a);
}

/* Attached, and waiting for its gate. *cpu: its slot. */
static inline pid_t actor_start(struct harness *h, struct actor *ac, uint32_t *cpu) {
    pid_t pid = harness_fork(h, act, ac);
    harness_gate_wait(&ac->ac_ready);
    for (*cpu = 0; h->h_arena->a_cpus[*cpu].cpu_pid != (uint32_t)pid; (*cpu)++) {
        EXPECT_LT(*cpu, 15);
    }
    return pid;
}

static inline void actor_gates(struct harness *h, struct actor *ac) {
    harness_gate_init(h, &ac->ac_ready);
    harness_gate_init(h, &ac->ac_go);
}

/* Lets it go until it has stopped itself at its step. */
static inline void actor_to_stop(struct actor *ac, pid_t pid) {
    int status = 0;
    harness_gate_post(&ac->ac_go);
    while (waitpid(pid, &status, WUNTRACED) < 0) {
        EXPECT_EQ(errno, EINTR);
    }
    EXPECT(WIFSTOPPED(status), "the actor never came to step 0x%x (status 0x%x)", ac->ac_step, status);
}

/* Lets it go until it has died there; it stays to be joined by harness_kill. */
static inline void actor_to_death(struct harness *h, struct actor *ac, pid_t pid) {
    siginfo_t end;
    harness_gate_post(&ac->ac_go);
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT), 0);
    EXPECT(end.si_code == CLD_KILLED && end.si_status == SIGKILL, "the actor ended with %d, %d", end.si_code,
           end.si_status);
    harness_kill(h, pid);
}

static inline void wake(pid_t pid) {
    EXPECT_EQ(kill(pid, SIGCONT), 0);
}

/* ---------------------------------------------------------------- the world: zones, a queue, a lock */

static inline int dtor_nothing(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    return 0;
}

static inline struct sm_queue *world(struct harness *h) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone_params p = {.zp_name = "made", .zp_bytes = 64};
    struct sm_userlock_params up = {.up_name = "m", .up_kind = SM_UL_MUTEX};
    struct sm_userlock *m;
    struct sm_queue *q;
    struct sm_zone *z, *made;
    void *item;
    EXPECT_OK(sm_zone_register("reap-states-dtor", dtor_nothing));
    p.zp_cb[SM_CB_DTOR].cb_kind = SM_CB_NATIVE;
    snprintf(p.zp_cb[SM_CB_DTOR].cb_name, sizeof p.zp_cb[SM_CB_DTOR].cb_name, "reap-states-dtor");
    EXPECT_OK(sm_zone_create(a, &p, &made));
    z = harness_zone(a, "z", 64, 0);
    (void)harness_zone(a, "fresh", 200, 0);
    (void)harness_zone(a, "other", 300, 0);
    EXPECT_OK(sm_queue_create(a, "q", 8, &q));
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    EXPECT_OK(sm_userlock_create(a, &up, &m));
    sm_userlock_close(m);
    return q;
}

static inline void queue_empty(struct sm_queue *q, uint32_t expected) {
    struct sm_zone *z;
    void *item;
    for (uint32_t i = 0; i < expected; i++) {
        EXPECT_OK(sm_queue_get(q, 0, &z, &item));
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
    EXPECT_ERR(sm_queue_get(q, 0, &z, &item), SM_EMPTY);
}

/* Whole again: nobody dead, nothing out but what the test knows of, no finding. */
static inline void expect_whole(struct harness *h, uint64_t queued) {
    struct harness_census c = harness_census(h->h_arena);
    EXPECT_EQ(sm_cpu_count_dead(h->h_arena), 0);
    EXPECT_EQ(h->h_arena->a_ctl->ctl_reaping, 0);
    EXPECT_EQ(c.hc_kind[SM_HELD], 0);
    EXPECT_EQ(c.hc_kind[SM_CONSTRUCTING], 0);
    EXPECT_EQ(c.hc_kind[SM_QUEUED], queued);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
}

static inline void use_zone(struct sm_zone *z) {
    void *item;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

static inline void use(struct sm_arena *a, const char *zone) {
    use_zone(harness_open_zone(a, zone));
}

/* Holds items of both kinds, and dies, if it comes so far, in the middle of a put. */
static inline void act_hold_and_put(struct sm_arena *a) {
    struct sm_zone *z = harness_open_zone(a, "z"), *made = harness_open_zone(a, "made");
    struct sm_queue *q;
    void *item;
    for (int i = 0; i < HELD_BY_DEAD; i++) {
        EXPECT_OK(sm_zone_alloc(i % 2 ? z : made, SM_M_NOWAIT, NULL, 0, &item));
    }
    EXPECT_OK(sm_queue_open(a, "q", 0, &q));
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_queue_put(q, z, item, 0));
}

/* So many of the last descriptors are closed: the gates of a round. */
static inline void gates_drop(struct harness *h, uint32_t n) {
    while (n-- > 0) {
        (void)close(h->h_descriptors[--h->h_descriptor_count]);
    }
}

#endif
