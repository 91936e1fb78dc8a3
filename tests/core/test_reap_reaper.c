/* test_reap_reaper.c - a reaper stopped, or killed, at each of its steps, and who comes meanwhile: an attaching process, a
 * child of fork, a second reaper. Nobody fails, nobody hangs, nothing is done twice.
 */
#include "reap_fixture.h"

/* ---------------------------------------------------------------- a reaper in the middle of its work */

static void act_reap(struct sm_arena *a) {
    struct sm_reap_report r;
    EXPECT_OK(sm_reap(a, &r));
    EXPECT_EQ(r.rr_cpus, 1);
    EXPECT_EQ(r.rr_freed, HELD_BY_DEAD);
    EXPECT_EQ(r.rr_requeued, 1);
}

static void attach_and_use(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "attacher");
    EXPECT_EQ(a->a_ctl->ctl_reaping, 0); /* it recovered what was left before it was let in */
    EXPECT_LE(sm_cpu_count_dead(a), 1); /* the reaper, when it has let go of its lock but not yet of its descriptors */
    use(a, "z");
    harness_close(h, a);
}

static void fork_and_use(struct harness *h, void *ctx) {
    sm_arena_after_fork(h->h_arena);
    use(h->h_arena, "z");
    EXPECT_OK(sm_arena_detach(h->h_arena));
}

static void second_reaper(struct harness *h, void *ctx) {
    struct sm_arena *a = *(struct sm_arena **)ctx; /* this child's own attachment is the parent's until it says so */
    struct sm_reap_report r;
    sm_arena_after_fork(a);
    use(a, "z");
    EXPECT_OK(sm_reap(a, &r));
    EXPECT_EQ(r.rr_cpus, 0);
    EXPECT_OK(sm_arena_detach(a));
}

static uint64_t waiting(const struct sm_arena *a) {
    return sm_load_rlx(&a->a_ctl->ctl_quiesce.l_contended);
}

/* A death, and a reaper of it that has stopped itself at the step. *q holds one item, and one that the dead put. */
static pid_t reaper_at(struct harness *h, struct actor *reaper, uint32_t step, uint32_t *cpu) {
    struct actor doomed = {.ac_step = PUT_QUEUED, .ac_signal = SIGKILL, .ac_act = act_hold_and_put};
    uint32_t dead_cpu;
    *reaper = (struct actor){.ac_step = step, .ac_signal = SIGSTOP, .ac_act = act_reap};
    actor_gates(h, reaper);
    actor_gates(h, &doomed);
    pid_t dead = actor_start(h, &doomed, &dead_cpu), pid = actor_start(h, reaper, cpu);
    actor_to_death(h, &doomed, dead);
    actor_to_stop(reaper, pid);
    return pid;
}

static const uint32_t reaper_steps[] = {0x700, 0x720, WORDS_SWEPT, 0x760, 0x761, 0x702, 0x703, 0x740,      0x741,
                                        0x742, 0x743, 0x704,       0x705, 0x706, 0x707, 0x708, WORLD_GOES, 0x70a};
#define REAPER_STEPS (sizeof reaper_steps / sizeof *reaper_steps)

/* With the world stopped for good nobody gets in, and nobody hangs; whoever is patient gets in when it goes on. */
static void with_stopped_reaper(struct harness *h, uint32_t step, harness_child_fn comer, bool kills) {
    struct sm_arena *a = h->h_arena, *b;
    struct sm_zone *z = harness_open_zone(a, "z");
    struct sm_queue *q;
    struct actor reaper;
    uint32_t cpu;
    void *item;
    bool holds_world = step != WORLD_GOES && step != 0x70a;
    EXPECT_OK(sm_queue_open(a, "q", 0, &q));
    pid_t pid = reaper_at(h, &reaper, step, &cpu);
    if (holds_world) {
        EXPECT_OK(sm_tunable_set(a, SM_TU_STALL_MS, SOON_MS));
        int64_t start = sm_os_now_ns();
        EXPECT_ERR(sm_arena_attach(h->h_fd, true, NULL, "hasty", &b), SM_STALLED);
        a->a_blocker = SM_CPU_NONE;
        EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item), SM_STALLED);
        EXPECT_EQ(a->a_blocker, cpu);
        EXPECT_LT(sm_os_now_ns() - start, 10000000000ll);
    }
    EXPECT_OK(sm_tunable_set(a, SM_TU_STALL_MS, LATE_MS));
    uint64_t before = waiting(a);
    pid_t other = harness_fork(h, comer, &a);
    if (holds_world) {
        HARNESS_UNTIL(waiting(a) > before);
        EXPECT_EQ(waitpid(other, NULL, WNOHANG), 0);
    }
    if (kills) {
        harness_kill(h, pid);
    } else {
        wake(pid);
        harness_join(h, pid);
    }
    harness_join(h, other);
    if (kills) {
        EXPECT_OK(sm_reap(a, NULL)); /* the comer may have been in before the kernel closed what the reaper had open */
    }
    expect_whole(h, 2);
    EXPECT_OK(sm_queue_get(q, 0, &z, &item)); /* leaves one for the next round */
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_queue_close(q);
}

static void sweep(struct harness *h, harness_child_fn comer, bool kills) {
    struct sm_queue *q = world(h);
    for (uint32_t i = 0; i < REAPER_STEPS; i++) {
        with_stopped_reaper(h, reaper_steps[i], comer, kills);
        gates_drop(h, 8);
    }
    queue_empty(q, 1);
    sm_queue_close(q);
}

TEST(who_attaches_while_a_reaper_stands_still_waits_for_it_and_not_for_ever) {
    sweep(h, attach_and_use, false);
}
TEST(who_attaches_while_a_reaper_is_killed_reaps_it_and_its_dead) {
    sweep(h, attach_and_use, true);
}
TEST(a_child_forked_while_another_process_reaps_waits_and_gets_its_own_cpu) {
    sweep(h, fork_and_use, false);
}
TEST(a_child_forked_while_a_reaper_is_killed_recovers_and_gets_its_own_cpu) {
    sweep(h, fork_and_use, true);
}
TEST(a_second_reaper_waits_for_the_first_and_finds_nothing_left) {
    sweep(h, second_reaper, false);
}

/* A reaper that freed the slots of its dead and came no further, and does not look dead: it failed, or the kernel is still
 * at it. Whoever comes has no slot, and finds no dead CPU whose slot it could take over. */
TEST(who_attaches_to_a_recovery_without_dead_cpus_does_it_in_a_slot_of_its_own) {
    struct sm_queue *q = world(h);
    struct sm_arena *b;
    h->h_arena->a_ctl->ctl_reaping = 1;
    b = harness_attach(h, "comer");
    EXPECT_EQ(b->a_cpu_id, 1);
    EXPECT_EQ(b->a_ctl->ctl_cpu_high, 2);
    EXPECT_EQ(b->a_ctl->ctl_attached, 2);
    expect_whole(h, 1);
    use(b, "z");
    harness_close(h, b);
    queue_empty(q, 1);
    sm_queue_close(q);
}

TEST_GEOMETRY(who_finds_no_slot_for_a_recovery_leaves_it_to_those_who_have_one, .g_max_bytes = 1 << 20, .g_max_cpus = 2,
              .g_max_zones = 4) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    struct sm_arena *b = harness_attach(h, "b"), *c;
    h->h_arena->a_ctl->ctl_reaping = 1;
    EXPECT_ERR(sm_arena_attach(h->h_fd, true, NULL, "c", &c), SM_NO_CPU);
    EXPECT_EQ(h->h_arena->a_ctl->ctl_cpu_high, 2);
    EXPECT_OK(sm_reap(b, NULL));
    use_zone(z);
    expect_whole(h, 0);
}

/* ---------------------------------------------------------------- fork by the reaper's own process */

struct held_reaper {
    struct sm_arena *hr_arena;
    struct harness_gate hr_there, hr_on;
};

static void wait_there(void *ctx, uint32_t step) {
    struct held_reaper *hr = ctx;
    if (step == WORDS_SWEPT) {
        harness_gate_post(&hr->hr_there);
        harness_gate_wait(&hr->hr_on);
    }
}

static void *reap_in_thread(void *ctx) {
    struct held_reaper *hr = ctx;
    EXPECT_OK(sm_reap(hr->hr_arena, NULL));
    return NULL;
}

TEST(a_child_forked_by_the_reaper_itself_waits_for_its_parent) {
    struct actor doomed = {.ac_step = PUT_QUEUED, .ac_signal = SIGKILL, .ac_act = act_hold_and_put};
    struct sm_arena *a = h->h_arena;
    struct sm_queue *q = world(h);
    struct held_reaper hr = {.hr_arena = a};
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = &hr, .h_crash = wait_there};
    pthread_t thread;
    uint32_t cpu;
    harness_gate_init(h, &hr.hr_there);
    harness_gate_init(h, &hr.hr_on);
    actor_gates(h, &doomed);
    actor_to_death(h, &doomed, actor_start(h, &doomed, &cpu));
    sm_arena_set_hooks(a, &hooks);
    EXPECT_EQ(pthread_create(&thread, NULL, reap_in_thread, &hr), 0);
    harness_gate_wait(&hr.hr_there);
    uint64_t before = waiting(a);
    pid_t child = harness_fork(h, fork_and_use, NULL);
    HARNESS_UNTIL(waiting(a) > before);
    harness_gate_post(&hr.hr_on);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    harness_join(h, child);
    sm_arena_set_hooks(a, NULL);
    expect_whole(h, 2);
    queue_empty(q, 2);
    sm_queue_close(q);
}

/* ---------------------------------------------------------------- the order of a queue */

static void put_number(struct sm_queue *q, struct sm_zone *z, uint32_t n) {
    void *item;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    *(uint32_t *)item = n;
    EXPECT_OK(sm_queue_put(q, z, item, 0));
}

static void expect_numbers(struct sm_queue *q, uint32_t first, uint32_t end) {
    struct sm_zone *z;
    void *item;
    for (uint32_t n = first; n < end; n++) {
        EXPECT_OK(sm_queue_get(q, 0, &z, &item));
        EXPECT_EQ(*(uint32_t *)item, n);
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
}

/* Numbers on both sides of the place that the dead one had claimed, across the end of the ring. */
static void order_kept(struct harness *h, uint32_t reaper_step) {
    struct sm_arena *a = h->h_arena;
    struct sm_queue *q = world(h);
    struct sm_zone *z = harness_open_zone(a, "z");
    struct actor doomed = {.ac_step = PUT_QUEUED, .ac_signal = SIGKILL, .ac_act = act_hold_and_put};
    struct actor reaper = {.ac_step = reaper_step, .ac_signal = SIGKILL, .ac_act = act_reap};
    uint32_t cpu;
    queue_empty(q, 1);
    for (uint32_t i = 0; i < 4; i++) {
        put_number(q, z, i);
        expect_numbers(q, i, i + 1);
    }
    actor_gates(h, &doomed);
    actor_gates(h, &reaper);
    pid_t dead = actor_start(h, &doomed, &cpu), pid = actor_start(h, &reaper, &cpu);
    for (uint32_t i = 0; i < 3; i++) {
        put_number(q, z, i);
    }
    actor_to_death(h, &doomed, dead);
    for (uint32_t i = 3; i < 7; i++) {
        put_number(q, z, i);
    }
    actor_to_death(h, &reaper, pid);
    EXPECT_OK(sm_reap(a, NULL));
    expect_whole(h, 8);
    expect_numbers(q, 0, 7);
    queue_empty(q, 1); /* what the dead one put, in a call that never returned */
    sm_queue_close(q);
}

TEST(a_queue_keeps_its_order_when_its_reaper_dies_before_the_ring) {
    order_kept(h, WORDS_SWEPT);
}
TEST(a_queue_keeps_its_order_when_its_reaper_dies_with_the_places_written) {
    order_kept(h, 0x760);
}
TEST(a_queue_keeps_its_order_when_its_reaper_dies_with_the_head_moved) {
    order_kept(h, 0x761);
}
TEST(a_queue_keeps_its_order_when_its_reaper_dies_behind_the_ring) {
    order_kept(h, 0x702);
}

TEST(the_ring_of_a_queue_that_nobody_died_in_stays_as_it_is) {
    struct sm_arena *a = h->h_arena;
    struct sm_queue *q = world(h), *other;
    struct sm_zone *z = harness_open_zone(a, "z");
    struct actor doomed = {.ac_step = PUT_QUEUED, .ac_signal = SIGKILL, .ac_act = act_hold_and_put};
    struct sm_place_shm was[8];
    uint32_t cpu;
    EXPECT_OK(sm_queue_create(a, "other", 8, &other));
    const struct sm_queue_shm *s = sm_queue_shared(other);
    for (uint32_t i = 0; i < 11; i++) {
        put_number(other, z, i);
        expect_numbers(other, i, i + (i < 6 ? 1 : 0));
    }
    memcpy(was, sm_at(a, s->q_ring), sizeof was);
    actor_gates(h, &doomed);
    actor_to_death(h, &doomed, actor_start(h, &doomed, &cpu));
    EXPECT_OK(sm_reap(a, NULL));
    EXPECT_EQ(s->q_head, 6);
    EXPECT_EQ(s->q_tail, 11);
    EXPECT_EQ(memcmp(was, sm_at(a, s->q_ring), sizeof was), 0);
    expect_numbers(other, 6, 11);
    expect_whole(h, 2);
    queue_empty(q, 2);
    sm_queue_close(q);
    sm_queue_close(other);
}
