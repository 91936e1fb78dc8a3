/* test_cpu.c - CPU slots: claimed, released, exhausted; liveness by the lock byte; fork; a thousand rounds.
 * Owns nothing. Kills only children of its own.
 */
#include "harness.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/quiesce.h"

TEST(each_attachment_has_a_slot_of_its_own_and_lives) {
    struct sm_arena *b = harness_attach(h, "b"), *c = harness_attach(h, "c");
    EXPECT_EQ(h->h_arena->a_cpu_id, 0);
    EXPECT_EQ(b->a_cpu_id, 1);
    EXPECT_EQ(c->a_cpu_id, 2);
    for (uint32_t cpu = 0; cpu < 3; cpu++) {
        EXPECT_EQ(h->h_arena->a_cpus[cpu].cpu_state, SM_CPU_LIVE);
        EXPECT_TRUE(sm_cpu_alive(h->h_arena, cpu));
        EXPECT_TRUE(sm_cpu_alive(c, cpu));
        EXPECT_EQ(h->h_arena->a_cpus[cpu].cpu_pid, getpid());
    }
    EXPECT_STR_EQ(h->h_arena->a_cpus[1].cpu_name, "b");
    harness_close(h, b);
    EXPECT_EQ(h->h_arena->a_cpus[1].cpu_state, SM_CPU_FREE);
    uint32_t gen = h->h_arena->a_cpus[1].cpu_gen;
    struct sm_arena *d = harness_attach(h, "d");
    EXPECT_EQ(d->a_cpu_id, 1);
    EXPECT_EQ(h->h_arena->a_cpus[1].cpu_gen, gen + 1);
}

TEST_GEOMETRY(one_process_more_than_slots_is_an_error, .g_max_bytes = 1 << 20, .g_max_cpus = 3, .g_max_zones = 4) {
    struct sm_arena *extra = NULL, *b = harness_attach(h, "b");
    (void)harness_attach(h, "c");
    EXPECT_ERR(sm_arena_attach(h->h_fd, true, NULL, "d", &extra), SM_NO_CPU);
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "reader", &extra)); /* readers need no slot */
    sm_arena_close(extra);
    harness_close(h, b);
    EXPECT_OK(sm_arena_attach(h->h_fd, true, NULL, "d", &extra));
    sm_arena_close(extra);
}

struct pair {
    struct harness_gate p_ready, p_go;
};

static void attach_and_wait(struct harness *h, void *ctx) {
    struct pair *p = ctx;
    (void)harness_attach(h, "child");
    harness_gate_post(&p->p_ready);
    harness_gate_wait(&p->p_go);
    _exit(0); /* without a detach: as dead as by a signal */
}

TEST(a_killed_process_is_seen_as_dead_and_is_no_finding) {
    struct pair p;
    struct sm_check_result r;
    harness_gate_init(h, &p.p_ready);
    harness_gate_init(h, &p.p_go);
    pid_t child = harness_fork(h, attach_and_wait, &p);
    harness_gate_wait(&p.p_ready);
    EXPECT_TRUE(sm_cpu_alive(h->h_arena, 1));
    EXPECT_EQ(sm_cpu_count_dead(h->h_arena), 0);
    harness_kill(h, child);
    EXPECT_FALSE(sm_cpu_alive(h->h_arena, 1));
    EXPECT_EQ(sm_cpu_count_dead(h->h_arena), 1);
    EXPECT_OK(sm_check(h->h_arena, 8, NULL, NULL, &r));
    EXPECT_EQ(r.cr_dead_cpus, 1);
    EXPECT_EQ(r.cr_live_cpus, 1);
    EXPECT_EQ(r.cr_findings, 0);
}

TEST(a_process_that_exits_without_detaching_is_dead_too) {
    struct pair p;
    harness_gate_init(h, &p.p_ready);
    harness_gate_init(h, &p.p_go);
    pid_t child = harness_fork(h, attach_and_wait, &p);
    harness_gate_wait(&p.p_ready);
    harness_gate_post(&p.p_go);
    harness_join(h, child);
    EXPECT_FALSE(sm_cpu_alive(h->h_arena, 1));
}

TEST_GEOMETRY(the_slot_of_a_dead_process_is_reaped_when_slots_run_out, .g_max_bytes = 1 << 20, .g_max_cpus = 2,
              .g_max_zones = 4) {
    struct pair p;
    harness_gate_init(h, &p.p_ready);
    harness_gate_init(h, &p.p_go);
    pid_t child = harness_fork(h, attach_and_wait, &p);
    harness_gate_wait(&p.p_ready);
    harness_kill(h, child);
    struct sm_arena *b = harness_attach(h, "heir");
    EXPECT_EQ(b->a_cpu_id, 1);
    EXPECT_EQ(sm_cpu_count_dead(h->h_arena), 0);
}

static unsigned open_descriptors(void) {
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    EXPECT_TRUE(d != NULL);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

TEST(a_thousand_rounds_of_attach_and_detach_leave_nothing_behind) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    uint64_t before = 0, after = 0;
    struct sm_arena_stats s;
    (void)z;
    unsigned files = open_descriptors();
    for (int round = 0; round < 1000; round++) {
        struct sm_arena *b = harness_attach(h, "visitor");
        EXPECT_EQ(b->a_cpu_id, 1);
        struct sm_zone *w = harness_open_zone(b, "z");
        void *item = NULL, *kept = NULL;
        EXPECT_OK(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &item));
        EXPECT_OK(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &kept)); /* freed by the detach */
        EXPECT_OK(sm_zone_free(w, item, NULL));
        harness_close(h, b);
        if (round == 10) {
            EXPECT_OK(sm_os_allocated(h->h_fd, &before));
        }
    }
    EXPECT_OK(sm_os_allocated(h->h_fd, &after));
    EXPECT_EQ(before, after);
    EXPECT_EQ(open_descriptors(), files);
    EXPECT_OK(sm_stats_arena(h->h_arena, &s));
    EXPECT_EQ(s.as_live_cpus, 1);
    EXPECT_EQ(s.as_dead_cpus, 0);
    EXPECT_GE(s.as_attaches, 1001);
    struct sm_zone_stats zs;
    EXPECT_OK(sm_stats_zone(h->h_arena, 0, &zs));
    EXPECT_EQ(zs.zs_allocs, 2000);
    EXPECT_EQ(zs.zs_frees, 2000);
}

/* ---- fork */

struct inherited {
    struct sm_zone *i_zone;
    void *i_item;
};

static void use_after_fork(struct harness *h, void *ctx) {
    struct inherited *i = ctx;
    struct sm_arena *a = h->h_arena;
    void *own = NULL;
    sm_arena_after_fork(a);
    enum sm_err err = sm_zone_free(i->i_zone, i->i_item, NULL);
    EXPECT(err == SM_NOT_OWNER || err == SM_FORKED, "freeing the parent's item gave %s", sm_err_name(err));
    EXPECT_OK(sm_zone_alloc(i->i_zone, SM_M_NOWAIT, NULL, 0, &own));
    EXPECT_NE(a->a_cpu_id, 0);
    EXPECT_TRUE(own != i->i_item);
    EXPECT_OK(sm_zone_free(i->i_zone, own, NULL));
    sm_arena_close(a);
}

TEST(a_forked_child_claims_its_own_slot_and_frees_nothing_of_its_parent) {
    struct inherited i = {harness_zone(h->h_arena, "z", 64, 0), NULL};
    EXPECT_OK(sm_zone_alloc(i.i_zone, SM_M_NOWAIT, NULL, 0, &i.i_item));
    harness_join(h, harness_fork(h, use_after_fork, &i));
    EXPECT_EQ(harness_census(h->h_arena).hc_kind[SM_HELD], 1);
    EXPECT_OK(sm_zone_free(i.i_zone, i.i_item, NULL));
    EXPECT_EQ(h->h_arena->a_cpus[1].cpu_state, SM_CPU_FREE);
}

struct family {
    struct harness_gate f_attached, f_forked, f_go;
};

static void outlive(struct harness *h, void *ctx) {
    struct family *f = ctx;
    prctl(PR_SET_PDEATHSIG, 0); /* it ends by the gate, or by its alarm */
    sm_arena_after_fork(h->h_attached[0]);
    harness_gate_post(&f->f_forked);
    harness_gate_wait(&f->f_go);
}

static void parent_of_one(struct harness *h, void *ctx) {
    struct family *f = ctx;
    (void)harness_attach(h, "middle");
    (void)harness_fork(h, outlive, f);
    harness_gate_wait(&f->f_forked);
    harness_gate_post(&f->f_attached);
    for (;;) {
        pause(); /* until it is killed */
    }
}

TEST(a_parent_is_seen_as_dead_while_its_forked_child_lives_on) {
    struct family f;
    harness_gate_init(h, &f.f_attached);
    harness_gate_init(h, &f.f_forked);
    harness_gate_init(h, &f.f_go);
    EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the grandchild becomes ours to wait for */
    pid_t middle = harness_fork(h, parent_of_one, &f);
    harness_gate_wait(&f.f_attached);
    EXPECT_EQ(sm_cpu_count_dead(h->h_arena), 0);
    harness_kill(h, middle);
    EXPECT_EQ(sm_cpu_count_dead(h->h_arena), 1);
    int status = 1;
    harness_gate_post(&f.f_go);
    EXPECT_GT(waitpid(-1, &status, 0), 0);
    EXPECT_EQ(status, 0);
}
