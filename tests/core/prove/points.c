/* points.c - crash points: the operation runs in a process whose hook kills it with SIGKILL at the n-th point that it
 * reaches, for n = 1, 2, ... until a run reaches fewer: that one ends by itself. An armed attachment leaves the inline
 * paths, so this sweeps the slow ones. Source: prove.h, sm_crash_point in arena.h.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prove.h"

static void count_down(void *ctx, uint32_t step) {
    (void)step;
    if (--*(uint64_t *)ctx == 0) {
        (void)kill(getpid(), SIGKILL);
    }
}

static pid_t doomed(struct prove_world *w, uint64_t n) {
    fflush(NULL);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    struct prove_cpu v = {.c_fd = w->w_survivor.c_fd};
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = &n, .h_crash = count_down};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    MUST_OK(sm_arena_attach(v.c_fd, true, NULL, "victim", &v.c_arena));
    prove_open_zones(&v);
    if (w->w_op->o_setup) {
        w->w_op->o_setup(&v);
    }
    sm_arena_set_hooks(v.c_arena, &hooks);
    w->w_op->o_run(&v);
    _exit(0);
}

void prove_sweep_points(struct prove_world *w, struct prove_tally *t) {
    if (w->w_op->o_flags & PROVE_BARE || w->w_op->o_wake) {
        return;
    }
    for (uint64_t n = 1;; n++) {
        struct prove_verdict v;
        char replay[64];
        int status;
        prove_restore(w, w->w_image, 0);
        pid_t pid = doomed(w, n);
        MUST(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status)) {
            MUST(WEXITSTATUS(status) == 0);
            return;
        }
        MUST(WTERMSIG(status) == SIGKILL);
        t->t_points++;
        if (!prove_verdict(w, &v, false)) {
            snprintf(replay, sizeof replay, "--point %llu", (unsigned long long)n);
            prove_report_bad(w, &v, replay, t);
        }
    }
}

bool prove_replay_point(struct prove_world *w, uint64_t n) {
    struct prove_verdict v;
    int status;
    prove_restore(w, w->w_image, 0);
    pid_t pid = doomed(w, n);
    MUST(waitpid(pid, &status, 0) == pid);
    printf("%s, crash point %llu: %s\n", w->w_op->o_name, (unsigned long long)n,
           WIFEXITED(status) ? "not reached" : "killed");
    return prove_verdict(w, &v, true);
}
