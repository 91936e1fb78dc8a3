/* ops_dead.c - operations that find a dead process, or a dead reaper, in their way and recover on the spot: the victim is
 * itself a reaper then. Each operation is one PROVE_OP. Source: prove.h.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callbacks.h"
#include "core/reap.h"

#define LIMIT 24

static void world_made(struct prove_cpu *s) {
    struct sm_zone_params p = {.zp_name = "made", .zp_bytes = 256};
    callback_set(&p, SM_CB_CTOR, "prove-ctor");
    callback_set(&p, SM_CB_DTOR, "prove-dtor");
    prove_zone(s, 0, &p, 16);
    prove_zone(s, 1, &(struct sm_zone_params){.zp_name = "plain", .zp_bytes = 512}, LIMIT);
    prove_hold(s, 0, 3);
    prove_hold(s, 1, 3);
}

/* ---------------------------------------------------------------- processes that die */

struct doom {
    uint32_t d_step; /* the crash point, by its number */
};

static void die_there(void *ctx, uint32_t step) {
    if (step == ((const struct doom *)ctx)->d_step) {
        (void)kill(getpid(), SIGKILL);
    }
}

static void attach_doomed(struct prove_cpu *c, struct doom *d) {
    const struct sm_runtime rt = {.rt_observer = true};
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = d, .h_crash = die_there};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    MUST_OK(sm_arena_attach(c->c_fd, true, &rt, "doomed", &c->c_arena));
    prove_open_zones(c);
    sm_arena_set_hooks(c->c_arena, &hooks);
}

static void join_dead(pid_t pid) {
    int status;
    MUST(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Dies at the step of its free into the slabs, holding items of both zones. */
static void leave_dead(int fd, uint32_t step) {
    pid_t pid = fork();
    if (pid == 0) {
        struct prove_cpu c = {.c_fd = fd};
        struct doom d = {step};
        void *items[3];
        attach_doomed(&c, &d);
        for (int i = 0; i < 3; i++) {
            (void)prove_alloc(&c, 0);
            items[i] = prove_alloc(&c, 1);
        }
        if (step == 0) {
            (void)kill(getpid(), SIGKILL);
        }
        for (int i = 0; i < 3; i++) {
            MUST_OK(sm_zone_free(c.c_zone[1], items[i], NULL));
        }
        uint64_t n, slabs;
        MUST_OK(sm_zone_reclaim(c.c_zone[1], SM_RECLAIM_DRAIN_CPU, &n, &slabs));
        _exit(1);
    }
    join_dead(pid);
}

/* Dies between two operations, holding one item. */
static void leave_idle_dead(int fd) {
    pid_t pid = fork();
    if (pid == 0) {
        struct prove_cpu c = {.c_fd = fd};
        struct doom d = {0};
        attach_doomed(&c, &d);
        (void)prove_alloc(&c, 1);
        (void)kill(getpid(), SIGKILL);
    }
    join_dead(pid);
}

static void leave_dead_reaper(int fd, uint32_t step) {
    pid_t pid = fork();
    if (pid == 0) {
        struct prove_cpu c = {.c_fd = fd};
        struct doom d = {step};
        attach_doomed(&c, &d);
        (void)sm_reap(c.c_arena, NULL);
        _exit(1);
    }
    join_dead(pid);
}

#define IN_KEG_LOCK 0x201u /* an item was given to its slab: keg.c */
#define IN_REBUILD 0x742u /* buckets rebuilt, counters not: reap_lists.c */
#define AFTER_WORDS 0x701u /* dtors are due, all lists are old: reap.c */

static void setup_dead(struct prove_cpu *v) {
    leave_dead(v->c_fd, 0);
}

static void setup_dead_locked(struct prove_cpu *v) {
    leave_dead(v->c_fd, IN_KEG_LOCK);
}

static void setup_dead_reaper(struct prove_cpu *v) {
    leave_dead(v->c_fd, 0);
    leave_dead_reaper(v->c_fd, IN_REBUILD);
}

static void setup_dead_reaper_early(struct prove_cpu *v) {
    leave_dead(v->c_fd, IN_KEG_LOCK);
    leave_dead_reaper(v->c_fd, AFTER_WORDS);
}

/* Every slot but the survivor's is a dead process's: who attaches has to take one over to recover from there. */
static void setup_full_of_dead(struct prove_cpu *v) {
    for (int i = 0; i < 4; i++) {
        leave_idle_dead(v->c_fd);
    }
}

static void setup_holding_dead_reaper(struct prove_cpu *v) {
    (void)prove_alloc(v, 0);
    (void)prove_alloc(v, 1);
    setup_dead_reaper(v);
}

/* ---------------------------------------------------------------- who comes across them */

static void run_attach(struct prove_cpu *v) {
    MUST_OK(sm_arena_attach(v->c_fd, true, NULL, "victim", &v->c_arena));
}

static void run_detach(struct prove_cpu *v) {
    MUST_OK(sm_arena_detach(v->c_arena));
}

static void run_reap(struct prove_cpu *v) {
    MUST_OK(sm_reap(v->c_arena, NULL));
}

/* More than is left while the dead hold theirs: only with those it succeeds. */
static void run_to_the_limit(struct prove_cpu *v) {
    for (int i = 0; i < 16 - 3; i++) {
        (void)prove_alloc(v, 0);
    }
}

static void run_alloc(struct prove_cpu *v) {
    (void)prove_alloc(v, 1);
}

static void run_zone_create(struct prove_cpu *v) {
    struct sm_zone_params p = {.zp_name = "new", .zp_bytes = 300};
    MUST_OK(sm_zone_create(v->c_arena, &p, &v->c_zone[2]));
}

PROVE_OP(reap, "reap", .o_world = world_made, .o_setup = setup_dead, .o_run = run_reap)
PROVE_OP(reap_attach, "attach-to-dead", .o_world = world_made, .o_setup = setup_dead, .o_run = run_attach,
         .o_flags = PROVE_BARE)
PROVE_OP(reap_full, "attach-full-of-dead", .o_world = world_made, .o_setup = setup_full_of_dead, .o_run = run_attach,
         .o_flags = PROVE_BARE)
PROVE_OP(reap_limit, "limit-of-dead", .o_world = world_made, .o_setup = setup_dead, .o_run = run_to_the_limit)
PROVE_OP(reap_locked, "lock-of-dead", .o_world = world_made, .o_setup = setup_dead_locked, .o_run = run_alloc)
PROVE_OP(rereap, "reap-dead-reaper", .o_world = world_made, .o_setup = setup_dead_reaper, .o_run = run_reap)
PROVE_OP(rereap_attach, "attach-dead-reaper", .o_world = world_made, .o_setup = setup_dead_reaper, .o_run = run_attach,
         .o_flags = PROVE_BARE)
PROVE_OP(rereap_alloc, "alloc-dead-reaper", .o_world = world_made, .o_setup = setup_dead_reaper_early,
         .o_run = run_alloc)
PROVE_OP(rereap_create, "create-dead-reaper", .o_world = world_made, .o_setup = setup_dead_reaper_early,
         .o_run = run_zone_create)
PROVE_OP(rereap_detach, "detach-dead-reaper", .o_world = world_made, .o_setup = setup_holding_dead_reaper,
         .o_run = run_detach)
