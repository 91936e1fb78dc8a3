/* sweep.c - one operation, killed after each of its instructions. One pass under ptrace gives the state that each kill
 * would leave; a sample of the same instructions is killed for real. Source: prove.h.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prove.h"

#define KEPT_MAX 256

struct kept { /* a state for the reaper's sweep */
    uint8_t *k_image;
    uint64_t k_at;
};

pid_t prove_victim(struct prove_world *w, int fd, bool traced) {
    fflush(NULL);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    struct prove_cpu v = {.c_fd = fd};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!(w->w_op->o_flags & PROVE_BARE)) {
        MUST_OK(sm_arena_attach(fd, true, NULL, "victim", &v.c_arena));
        prove_open_zones(&v);
    }
    if (w->w_op->o_setup) {
        w->w_op->o_setup(&v);
    }
    if (traced) {
        prove_trace_me();
    }
    prove_begin();
    w->w_op->o_run(&v);
    prove_end();
    _exit(0);
}

/* ---------------------------------------------------------------- waking a victim that sleeps */

struct waking {
    struct prove_world *k_world;
    int k_fd;
};

static void wake(void *ctx) {
    struct waking *k = ctx;
    int status;
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        struct prove_cpu c = {.c_fd = k->k_fd};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        MUST_OK(sm_arena_attach(k->k_fd, true, NULL, "waker", &c.c_arena));
        prove_open_zones(&c);
        k->k_world->w_op->o_wake(&c);
        MUST_OK(sm_arena_detach(c.c_arena));
        _exit(0);
    }
    MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void start(struct prove_world *w, struct prove_step *s, struct waking *k, pid_t pid, bool all) {
    prove_step_start(s, pid, all);
    if (w->w_op->o_wake) {
        s->s_blocked = wake;
        s->s_ctx = k;
    }
}

/* ---------------------------------------------------------------- verdicts */

void prove_report_bad(struct prove_world *w, const struct prove_verdict *v, const char *replay, struct prove_tally *t) {
    t->t_findings += v->v_findings;
    t->t_lost += v->v_lost;
    if (t->t_bad++ < 5) {
        printf("FAIL %s: %s\n  replay: prove --op %s %s\n", w->w_op->o_name, v->v_text, w->w_op->o_name, replay);
        fflush(stdout);
    }
}

static void judge(struct prove_world *w, const uint8_t *state, const struct prove_step *s, struct prove_tally *t) {
    struct prove_verdict v;
    char replay[64];
    t->t_judged++;
    prove_restore(w, state, s->s_pid);
    if (!prove_verdict(w, &v, false)) {
        snprintf(replay, sizeof replay, "--at %llu%s", (unsigned long long)s->s_steps, s->s_all ? " --libc" : "");
        prove_report_bad(w, &v, replay, t);
    }
}

/* The first `most` are all taken, then ever fewer: evenly spread over however many there turn out to be. */
static bool sampled(uint64_t most, uint64_t seen, uint64_t *random) {
    return most == 0 || seen <= most || prove_random(random) % seen < most;
}

static void keep(struct prove_world *w, struct kept *kept, const struct prove_options *p, uint64_t seen,
                 const uint8_t *state, uint64_t at, uint64_t *random) {
    uint64_t i = seen - 1;
    if (i >= p->p_reapers) {
        i = prove_random(random) % seen; /* reservoir */
    }
    if (i < p->p_reapers && i < KEPT_MAX) {
        if (kept[i].k_image == NULL) {
            kept[i].k_image =
                mmap(NULL, w->w_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            MUST(kept[i].k_image != MAP_FAILED);
        }
        prove_copy(w, kept[i].k_image, state);
        kept[i].k_at = at;
    }
}

/* ---------------------------------------------------------------- the pass, and real kills */

/* The steps at which the operation changed something. */
#define WAKES_MAX 4096
static uint64_t wakes[WAKES_MAX], wakes_n;

static uint64_t pass(struct prove_world *w, const struct prove_options *p, struct prove_tally *t, struct kept *kept,
                     pid_t *pid, uint64_t *random) {
    wakes_n = 0;
    struct prove_object b;
    struct prove_step s;
    prove_object_new(w, w->w_image, &b);
    struct waking k = {w, b.b_fd};
    uint8_t *seen = mmap(NULL, w->w_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(seen != MAP_FAILED);
    *pid = prove_victim(w, b.b_fd, true);
    start(w, &s, &k, *pid, p->p_all);
    uint64_t states = 0;
    do {
        if (states != 0 && !prove_differs(w, b.b_map, seen)) {
            continue;
        }
        prove_copy(w, seen, b.b_map);
        states++;
        if (wakes_n < WAKES_MAX) {
            wakes[wakes_n++] = s.s_steps;
        }
        if (sampled(p->p_states, states, random)) {
            judge(w, seen, &s, t);
        }
        keep(w, kept, p, states, seen, s.s_steps, random);
    } while (prove_step(&s));
    judge(w, seen, &s, t); /* a kill after the operation, too */
    t->t_instructions += s.s_core;
    t->t_other += s.s_other;
    t->t_states += states;
    prove_kill(*pid);
    prove_object_drop(w, &b);
    munmap(seen, w->w_bytes);
    return s.s_steps;
}

static void kill_really(struct prove_world *w, uint64_t at, const struct prove_options *p, struct prove_tally *t) {
    struct prove_verdict v;
    struct prove_step s;
    char replay[64];
    struct waking k = {w, w->w_survivor.c_fd};
    prove_restore(w, w->w_image, 0);
    pid_t pid = prove_victim(w, w->w_survivor.c_fd, true);
    start(w, &s, &k, pid, p->p_all);
    while (s.s_steps < at && prove_step(&s)) {
    }
    prove_kill(pid);
    t->t_kills++;
    if (!prove_verdict(w, &v, false)) {
        snprintf(replay, sizeof replay, "--at %llu --kill%s", (unsigned long long)at, p->p_all ? " --libc" : "");
        prove_report_bad(w, &v, replay, t);
    }
}

void prove_sweep(struct prove_world *w, const struct prove_options *p, struct prove_tally *t) {
    static struct kept kept[KEPT_MAX];
    uint64_t random = p->p_seed;
    pid_t pid;
    for (const char *c = w->w_op->o_name; *c; c++) {
        random = random * 31 + (uint64_t)*c;
    }
    struct prove_options own = *p;
    /* Reapers walk every mbuf's region: where only a sample is taken, theirs is a smaller one. */
    uint32_t mbufs = w->w_op->o_flags & PROVE_MBUFS && p->p_reaper_every > 1 ? 6 : 1;
    if (prove_random(&random) % ((uint64_t)p->p_reaper_every * mbufs) != 0) {
        own.p_reapers = 0;
    }
    uint64_t steps = pass(w, &own, t, kept, &pid, &random);
    for (uint32_t i = 0; i < p->p_kills && steps > 0; i++) {
        kill_really(w, prove_random(&random) % (steps + 1), p, t);
    }
    for (uint32_t i = 0; i < KEPT_MAX && kept[i].k_image; i++) {
        prove_sweep_reaper(w, kept[i].k_image, pid, kept[i].k_at, p, t);
        munmap(kept[i].k_image, w->w_bytes);
        kept[i].k_image = NULL;
    }
    if (w->w_op->o_flags & PROVE_WAKES) {
        uint64_t n = wakes_n < p->p_wakes ? wakes_n : p->p_wakes;
        for (uint64_t i = 0; i < n; i++) { /* a sample, in no order */
            uint64_t j = i + prove_random(&random) % (wakes_n - i), was = wakes[i];
            wakes[i] = wakes[j];
            wakes[j] = was;
        }
        prove_sweep_wakes(w, wakes, n, p, t);
    }
}

/* ---------------------------------------------------------------- replay of one point */

bool prove_replay(struct prove_world *w, uint64_t n, uint64_t m, bool really, const struct prove_options *p) {
    struct prove_object b;
    struct prove_step s;
    struct prove_verdict v;
    prove_object_new(w, w->w_image, &b);
    struct waking k = {w, really ? w->w_survivor.c_fd : b.b_fd};
    pid_t pid = prove_victim(w, k.k_fd, true);
    start(w, &s, &k, pid, p->p_all);
    while (s.s_steps < n && prove_step(&s)) {
    }
    const uint8_t *object = really ? w->w_survivor.c_arena->a_base : b.b_map;
    const struct sm_arena *a = w->w_survivor.c_arena;
    const struct sm_cpu_shm *cpus = (const void *)(object + a->a_header->h_region[SM_R_CPUS].r_off);
    printf("%s, step %llu: about to execute %s\n", w->w_op->o_name, (unsigned long long)s.s_steps,
           prove_symbol(s.s_rip));
    for (uint32_t i = 0; i < a->a_header->h_max_cpus; i++) {
        printf("  cpu %u: state %u, op %u of %u, operand 0x%llx, argument %llu\n", i, cpus[i].cpu_state,
               SM_OP_OF(cpus[i].cpu_op), SM_OP_ID(cpus[i].cpu_op),
               (unsigned long long)SM_OP_OPERAND(cpus[i].cpu_op) << 3, (unsigned long long)cpus[i].cpu_op_arg);
    }
    bool ok;
    if (m != UINT64_MAX) {
        ok = prove_replay_reaper(w, b.b_map, pid, m, p);
    } else {
        if (!really) {
            prove_restore(w, b.b_map, pid);
        }
        prove_kill(pid);
        ok = prove_verdict(w, &v, true);
    }
    prove_kill(pid);
    prove_object_drop(w, &b);
    return ok;
}
