/* reaper.c - the reaper, killed after each of its instructions while it puts right what a dead process left; then the
 * survivor reaps both. Source: prove.h.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "prove.h"

struct reaping {
    struct prove_object r_object;
    struct prove_step r_step;
};

static void reaper_start(struct prove_world *w, const uint8_t *state, pid_t dead, bool all, struct reaping *r) {
    struct sm_arena *survivor = w->w_survivor.c_arena;
    prove_restore(w, state, dead);
    prove_object_new(w, survivor->a_base, &r->r_object);
    fflush(NULL);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        struct sm_arena *a;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prove_trace_me();
        prove_begin();
        enum sm_err err = sm_arena_attach(r->r_object.b_fd, true, NULL, "reaper", &a); /* which reaps */
        prove_end();
        MUST_OK(err);
        _exit(0);
    }
    prove_step_start(&r->r_step, pid, all);
}

static void reaper_end(struct prove_world *w, struct reaping *r) {
    prove_kill(r->r_step.s_pid);
    prove_object_drop(w, &r->r_object);
}

void prove_sweep_reaper(struct prove_world *w, const uint8_t *state, pid_t dead, uint64_t at,
                        const struct prove_options *p, struct prove_tally *t) {
    struct reaping r;
    struct prove_verdict v;
    char replay[96];
    uint64_t random = p->p_seed + at, states = 0;
    reaper_start(w, state, dead, p->p_all, &r);
    uint8_t *seen = mmap(NULL, w->w_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(seen != MAP_FAILED);
    do {
        if (states != 0 && !prove_differs(w, r.r_object.b_map, seen)) {
            continue;
        }
        prove_copy(w, seen, r.r_object.b_map);
        states++;
        if (p->p_reaper_states != 0 && states > p->p_reaper_states &&
            prove_random(&random) % states >= p->p_reaper_states) {
            continue;
        }
        t->t_reaper_judged++;
        prove_restore(w, seen, r.r_step.s_pid);
        if (!prove_verdict(w, &v, false)) {
            snprintf(replay, sizeof replay, "--at %llu --reaper-at %llu%s", (unsigned long long)at,
                     (unsigned long long)r.r_step.s_steps, p->p_all ? " --libc" : "");
            prove_report_bad(w, &v, replay, t);
        }
    } while (prove_step(&r.r_step));
    t->t_reaper_instructions += r.r_step.s_core;
    t->t_reaper_states += states;
    reaper_end(w, &r);
    munmap(seen, w->w_bytes);
}

bool prove_replay_reaper(struct prove_world *w, const uint8_t *state, pid_t dead, uint64_t m,
                         const struct prove_options *p) {
    struct reaping r;
    struct prove_verdict v;
    reaper_start(w, state, dead, p->p_all, &r);
    while (r.r_step.s_steps < m && prove_step(&r.r_step)) {
    }
    printf("  its reaper, step %llu: about to execute %s\n", (unsigned long long)r.r_step.s_steps,
           prove_symbol(r.r_step.s_rip));
    prove_restore(w, r.r_object.b_map, r.r_step.s_pid);
    bool ok = prove_verdict(w, &v, true);
    reaper_end(w, &r);
    return ok;
}
