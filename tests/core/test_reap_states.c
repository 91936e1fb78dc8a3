/* test_reap_states.c - recovery while others are in the middle of something: a peer stopped inside an operation, which the
 * reaper waits for, bounded, and names; and two reapers at once. Who comes while a reaper is at work: test_reap_reaper.c.
 */
#include "reap_fixture.h"

/* ---------------------------------------------------------------- a peer stopped inside an operation */

static void act_use_fresh(struct sm_arena *a) {
    use(a, "fresh");
}
static void act_create(struct sm_arena *a) {
    uint64_t live;
    EXPECT_OK(sm_zone_destroy(harness_zone(a, "brief", 64, 0), &live));
}
static void act_put_get(struct sm_arena *a) {
    struct sm_queue *q;
    struct sm_zone *z;
    void *item;
    EXPECT_OK(sm_queue_open(a, "q", 0, &q));
    EXPECT_OK(sm_queue_get(q, 0, &z, &item));
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    sm_queue_close(q);
}
static void act_mutex(struct sm_arena *a) {
    struct sm_userlock_params up = {.up_name = "m", .up_kind = SM_UL_MUTEX};
    struct sm_userlock *m;
    EXPECT_OK(sm_userlock_open(a, &up, &m));
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, -1));
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    sm_userlock_close(m);
}

static enum sm_err try_alloc(struct sm_arena *a, const char *zone) {
    struct sm_zone *z = harness_open_zone(a, zone);
    void *item;
    enum sm_err err = sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item);
    return err == SM_OK ? sm_zone_free(z, item, NULL) : err;
}
static enum sm_err try_same_keg(struct sm_arena *a) {
    return try_alloc(a, "fresh");
}
static enum sm_err try_pages(struct sm_arena *a) {
    return try_alloc(a, "other");
}
static enum sm_err try_tables(struct sm_arena *a) {
    struct sm_zone *z;
    return sm_zone_create(a, &(struct sm_zone_params){.zp_name = "mine", .zp_bytes = 64}, &z);
}

/* The reaper waits, not for ever, says who is in its way, and leaves everything as it was; then it can. */
static void stopped_peer(struct harness *h, uint32_t step, void (*peer)(struct sm_arena *),
                         enum sm_err (*wants)(struct sm_arena *), enum sm_err gets) {
    struct sm_arena *a = h->h_arena;
    struct sm_queue *q = world(h);
    struct actor stopped = {.ac_step = step, .ac_signal = SIGSTOP, .ac_act = peer};
    struct actor doomed = {.ac_step = PUT_QUEUED, .ac_signal = SIGKILL, .ac_act = act_hold_and_put};
    struct sm_reap_report r;
    uint32_t peer_cpu, dead_cpu;
    struct sm_zone *z = harness_open_zone(a, "z");
    use_zone(z); /* so that this CPU has items of its own at hand */
    actor_gates(h, &stopped);
    actor_gates(h, &doomed);
    pid_t dead = actor_start(h, &doomed, &dead_cpu), pid = actor_start(h, &stopped, &peer_cpu);
    actor_to_death(h, &doomed, dead);
    actor_to_stop(&stopped, pid);

    EXPECT_OK(sm_tunable_set(a, SM_TU_STALL_MS, SOON_MS));
    a->a_blocker = SM_CPU_NONE;
    int64_t start = sm_os_now_ns();
    EXPECT_ERR(sm_reap(a, &r), SM_STALLED);
    int64_t waited = sm_os_now_ns() - start;
    EXPECT_EQ(a->a_blocker, peer_cpu);
    EXPECT_GE(waited, SOON_MS * 1000000ll);
    EXPECT_LT(waited, 10000000000ll);
    EXPECT_EQ(r.rr_cpus, 0);
    EXPECT_EQ(a->a_ctl->ctl_reaping, 0);
    EXPECT_EQ(sm_cpu_count_dead(a), 1);
    EXPECT_EQ(a->a_cpus[peer_cpu].cpu_claim, 0); /* nobody else is kept out because this reaper gave up */
    a->a_blocker = SM_CPU_NONE;
    EXPECT_OK(sm_quiesce_begin(a));
    EXPECT_ERR(sm_quiesce_all(a), SM_STALLED);
    EXPECT_EQ(a->a_blocker, peer_cpu);
    sm_quiesce_end(a);
    a->a_blocker = SM_CPU_NONE;
    EXPECT_ERR(wants(a), gets);
    EXPECT_EQ(a->a_blocker, gets == SM_STALLED ? peer_cpu : SM_CPU_NONE);
    use_zone(z); /* what needs nothing of the stopped one goes on */

    EXPECT_OK(sm_tunable_set(a, SM_TU_STALL_MS, LATE_MS));
    wake(pid);
    EXPECT_OK(sm_reap(a, &r)); /* waits for the end of the operation, if need be */
    EXPECT_EQ(r.rr_cpus, 1);
    EXPECT_EQ(r.rr_cpu[0].rc_cpu, dead_cpu);
    EXPECT_EQ(r.rr_freed, HELD_BY_DEAD);
    EXPECT_EQ(r.rr_requeued, 1);
    harness_join(h, pid);
    expect_whole(h, 2);
    queue_empty(q, 2);
    sm_queue_close(q);
}

static enum sm_err try_nothing(struct sm_arena *a) {
    return try_alloc(a, "z");
}

TEST(a_reaper_names_a_peer_stopped_with_a_keg_lock) {
    stopped_peer(h, 0x200, act_use_fresh, try_same_keg, SM_STALLED);
}
TEST(a_reaper_names_a_peer_stopped_making_a_slab) {
    stopped_peer(h, 0x220, act_use_fresh, try_same_keg, SM_OK);
}
TEST(a_reaper_names_a_peer_stopped_with_the_page_lock) {
    stopped_peer(h, RUN_TAKEN, act_use_fresh, try_pages, SM_STALLED);
}
TEST(a_reaper_names_a_peer_stopped_with_the_admin_lock) {
    stopped_peer(h, 0x3a0, act_create, try_tables, SM_STALLED);
}
TEST(a_reaper_names_a_peer_stopped_in_a_put) {
    stopped_peer(h, PUT_QUEUED, act_put_get, try_nothing, SM_OK);
}
TEST(a_reaper_names_a_peer_stopped_in_a_get) {
    stopped_peer(h, 0x512, act_put_get, try_nothing, SM_OK);
}
TEST(a_reaper_names_a_peer_stopped_taking_a_users_lock) {
    stopped_peer(h, 0x800, act_mutex, try_nothing, SM_OK);
}

TEST(a_peer_stopped_between_two_operations_is_in_nobodys_way) {
    struct actor stopped = {.ac_act = act_mutex}, doomed = {.ac_step = PUT_QUEUED, .ac_signal = SIGKILL};
    struct sm_queue *q = world(h);
    struct sm_reap_report r;
    uint32_t cpu;
    int status;
    doomed.ac_act = act_hold_and_put;
    actor_gates(h, &stopped);
    actor_gates(h, &doomed);
    pid_t dead = actor_start(h, &doomed, &cpu), pid = actor_start(h, &stopped, &cpu);
    actor_to_death(h, &doomed, dead);
    EXPECT_EQ(kill(pid, SIGSTOP), 0); /* at its gate */
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_STALL_MS, SOON_MS));
    EXPECT_OK(sm_reap(h->h_arena, &r));
    EXPECT_EQ(r.rr_cpus, 1);
    wake(pid);
    harness_gate_post(&stopped.ac_go);
    harness_join(h, pid);
    expect_whole(h, 2);
    queue_empty(q, 2);
    sm_queue_close(q);
}

/* ---------------------------------------------------------------- two reapers from one barrier */

#define SURVIVORS 2
#define DEATHS 3
#define ROUNDS 10

struct tally { /* in a region of the arena */
    uint32_t ta_arrived, ta_cpus;
    uint64_t ta_freed, ta_requeued;
};

static struct tally *tally_of(struct sm_arena *a) {
    void *mem;
    EXPECT_OK(sm_arena_region(a, "tally", sizeof(struct tally), 1, &mem));
    return mem;
}

static void act_reap_together(struct sm_arena *a) {
    struct tally *t = tally_of(a);
    struct sm_reap_report r;
    sm_add_acqrel(&t->ta_arrived, 1);
    HARNESS_UNTIL(sm_load_acq(&t->ta_arrived) % SURVIVORS == 0); /* a barrier without a system call */
    EXPECT_OK(sm_reap(a, &r));
    sm_add_acqrel(&t->ta_cpus, r.rr_cpus);
    sm_add_acqrel(&t->ta_freed, r.rr_freed);
    sm_add_acqrel(&t->ta_requeued, r.rr_requeued);
}

static uint32_t deaths_told(struct sm_arena *a, pid_t pid) {
    struct sm_event_shm ev = {.ev_seq = 0};
    uint32_t told = 0;
    char text[40]; /* the grammar of reap_report.c */
    snprintf(text, sizeof text, " pid=%d ", (int)pid);
    while (sm_event_next(a, ev.ev_seq, &ev) == SM_OK) {
        told +=
            ev.ev_kind == SM_EV_RECOVERY && strncmp(ev.ev_text, "died ", 5) == 0 && strstr(ev.ev_text, text) != NULL;
    }
    return told;
}

TEST(two_reapers_at_once_report_each_death_once_and_count_nothing_twice) {
    struct sm_arena *a = h->h_arena;
    struct sm_queue *q = world(h);
    struct tally *t = tally_of(a);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct actor reaper = {.ac_act = act_reap_together};
        struct actor doomed = {.ac_step = PUT_QUEUED, .ac_signal = SIGKILL, .ac_act = act_hold_and_put};
        pid_t survivor[SURVIVORS], dead[DEATHS];
        uint32_t cpu;
        actor_gates(h, &reaper);
        actor_gates(h, &doomed);
        for (int i = 0; i < DEATHS; i++) {
            dead[i] = actor_start(h, &doomed, &cpu);
        }
        for (int i = 0; i < SURVIVORS; i++) {
            survivor[i] = actor_start(h, &reaper, &cpu);
        }
        for (int i = 0; i < DEATHS; i++) {
            harness_gate_post(&doomed.ac_go);
        }
        for (int i = 0; i < DEATHS; i++) {
            siginfo_t end;
            EXPECT_EQ(waitid(P_PID, (id_t)dead[i], &end, WEXITED | WNOWAIT), 0);
            EXPECT_EQ(end.si_code, CLD_KILLED);
            harness_kill(h, dead[i]);
        }
        for (int i = 0; i < SURVIVORS; i++) {
            harness_gate_post(&reaper.ac_go);
        }
        for (int i = 0; i < SURVIVORS; i++) {
            harness_join(h, survivor[i]);
        }
        EXPECT_EQ(t->ta_cpus, round * DEATHS);
        EXPECT_EQ(t->ta_freed, round * DEATHS * HELD_BY_DEAD);
        EXPECT_EQ(t->ta_requeued, round * DEATHS);
        for (int i = 0; i < DEATHS; i++) {
            EXPECT_EQ(deaths_told(a, dead[i]), 1);
        }
        expect_whole(h, 1 + DEATHS);
        queue_empty(q, 1 + DEATHS);
        struct sm_zone *z = harness_open_zone(a, "z");
        void *item;
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
        EXPECT_OK(sm_queue_put(q, z, item, 0));
        gates_drop(h, 8);
    }
    queue_empty(q, 1);
    sm_queue_close(q);
}
