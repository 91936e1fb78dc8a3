/* main.c - options, the table of results, replay of one point. Owns the list of operations. Source: prove.h.
 *
 *   prove [--quick] [--seed S]      every operation, states and reapers sampled: what the tests run
 *   prove --all                     every state of every operation, libc stepped too, many reapers
 *   prove --share K/N [...]         every N-th operation from the K-th on, on a processor of its own: N of them at once
 *   prove --op NAME [...]           one operation
 *   prove --op NAME --at N [--reaper-at M] [--kill] [--libc]   one instruction, told in words
 *   prove --op NAME --point N       one crash point
 *   prove --op NAME --wake-at N     one instruction, beside a process that sleeps
 *   prove --list
 */
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prove.h"

#define WAKES_ALL 1000

struct prove_op *prove_first_op;
static struct prove_op **next_op = &prove_first_op;

void prove_register(struct prove_op *op) {
    *next_op = op;
    next_op = &op->o_next;
}

_Noreturn void prove_die(const char *file, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    fflush(NULL);
    _exit(3);
}

uint64_t prove_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void add(struct prove_tally *sum, const struct prove_tally *t) {
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)t;
    for (size_t i = 0; i < sizeof *t / sizeof *to; i++) {
        to[i] += from[i];
    }
}

static void row(const char *name, const struct prove_tally *t, int64_t ns) {
    typedef unsigned long long u;
    printf("%-21s %7llu %7llu %6llu %6llu %5llu %5llu %5llu | %8llu %6llu %6llu | %8llu %4llu %7.1f\n", name,
           (u)t->t_instructions, (u)t->t_other, (u)t->t_states, (u)t->t_judged, (u)t->t_points, (u)t->t_kills,
           (u)t->t_wakes, (u)t->t_reaper_instructions, (u)t->t_reaper_states, (u)t->t_reaper_judged, (u)t->t_findings,
           (u)t->t_lost, (double)ns / 1e9);
    fflush(stdout);
}

/* The n-th, from 0, of the processors that we may use, and again from the first one when there are fewer. */
static int usable_cpu(unsigned n) {
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) != 0 || CPU_COUNT(&usable) == 0) {
        return -1;
    }
    n %= (unsigned)CPU_COUNT(&usable);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &usable) && n-- == 0) {
            return cpu;
        }
    }
    return -1;
}

/* The tracer and the traced take turns: on one processor there is no wake-up to wait for. */
static void stay_on(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

struct command {
    const char *m_op;
    unsigned m_share, m_shares; /* 0 of 0: all */
    uint64_t m_at, m_reaper_at, m_point, m_wake;
    bool m_kill, m_list;
    struct prove_options m_options;
};

static int usage(void) {
    fprintf(stderr, "usage: prove [--quick | --all] [--seed S] [--op NAME [--at N [--reaper-at M] [--kill] [--libc] | "
                    "--point N | --wake-at N]] [--share K/N] [--states K] [--reapers K] [--kills K] [--list]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct command *m) {
    const struct prove_options quick = {
        .p_reapers = 1, .p_reaper_every = 4, .p_reaper_states = 24, .p_kills = 2, .p_wakes = 4};
    const struct prove_options all = {
        .p_reapers = 6, .p_reaper_every = 1, .p_kills = 16, .p_wakes = WAKES_ALL, .p_all = true};
    *m = (struct command){
        .m_at = UINT64_MAX, .m_reaper_at = UINT64_MAX, .m_point = UINT64_MAX, .m_wake = UINT64_MAX, .m_options = quick};
    m->m_options.p_seed = sm_os_random();
    for (int i = 1; i < argc; i++) {
        const char *o = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        uint64_t seed = m->m_options.p_seed, n = value ? strtoull(value, NULL, 0) : 0;
        if (strcmp(o, "--quick") == 0 || strcmp(o, "--all") == 0) {
            m->m_options = o[2] == 'q' ? quick : all;
            m->m_options.p_seed = seed;
        } else if (strcmp(o, "--list") == 0) {
            m->m_list = true;
        } else if (strcmp(o, "--kill") == 0) {
            m->m_kill = true;
        } else if (strcmp(o, "--libc") == 0) {
            m->m_options.p_all = true;
        } else if (value == NULL) {
            return false;
        } else if (i++, strcmp(o, "--op") == 0) {
            m->m_op = value;
        } else if (strcmp(o, "--share") == 0) {
            if (sscanf(value, "%u/%u", &m->m_share, &m->m_shares) != 2 || m->m_share < 1 || m->m_share > m->m_shares) {
                return false;
            }
        } else if (strcmp(o, "--seed") == 0) {
            m->m_options.p_seed = n;
        } else if (strcmp(o, "--at") == 0) {
            m->m_at = n;
        } else if (strcmp(o, "--reaper-at") == 0) {
            m->m_reaper_at = n;
        } else if (strcmp(o, "--wake-at") == 0) {
            m->m_wake = n;
        } else if (strcmp(o, "--point") == 0) {
            m->m_point = n;
        } else if (strcmp(o, "--states") == 0) {
            m->m_options.p_states = n;
        } else if (strcmp(o, "--reapers") == 0) {
            m->m_options.p_reapers = (uint32_t)n;
            m->m_options.p_reaper_every = 1;
        } else if (strcmp(o, "--kills") == 0) {
            m->m_options.p_kills = (uint32_t)n;
        } else {
            return false;
        }
    }
    return true;
}

static int sweep_all(const struct command *m) {
    struct prove_tally sum = {0};
    int64_t started = sm_os_now_ns();
    unsigned ran = 0, place = 0;
    printf("seed 0x%llx\n", (unsigned long long)m->m_options.p_seed);
    printf("%-21s %7s %7s %6s %6s %5s %5s %5s | %8s %6s %6s | %8s %4s %7s\n", "operation", "instr", "libc", "states",
           "judged", "point", "kill", "wake", "reaper", "states", "judged", "findings", "lost", "seconds");
    for (const struct prove_op *op = prove_first_op; op; op = op->o_next) {
        if ((m->m_op && strcmp(m->m_op, op->o_name) != 0) || (m->m_shares && place++ % m->m_shares != m->m_share - 1)) {
            continue;
        }
        struct prove_world w;
        struct prove_tally t = {0};
        int64_t from = sm_os_now_ns();
        ran++;
        prove_world_open(&w, op);
        prove_sweep_points(&w, &t);
        prove_sweep(&w, &m->m_options, &t);
        prove_world_close(&w);
        row(op->o_name, &t, sm_os_now_ns() - from);
        add(&sum, &t);
    }
    row("total", &sum, sm_os_now_ns() - started);
    printf("%u operations, %llu states with something wrong\n", ran, (unsigned long long)sum.t_bad);
    return ran == 0 || sum.t_bad != 0;
}

static int replay(const struct command *m) {
    for (const struct prove_op *op = prove_first_op; op; op = op->o_next) {
        if (strcmp(m->m_op, op->o_name) == 0) {
            struct prove_world w;
            struct prove_verdict v;
            if (m->m_wake != UINT64_MAX) {
                bool woken = prove_replay_wake(op, m->m_wake, &m->m_options, &v);
                printf("%s\n", woken ? "nothing is wrong" : v.v_text);
                return !woken;
            }
            prove_world_open(&w, op);
            bool ok = m->m_point != UINT64_MAX ? prove_replay_point(&w, m->m_point)
                                               : prove_replay(&w, m->m_at, m->m_reaper_at, m->m_kill, &m->m_options);
            prove_world_close(&w);
            return !ok;
        }
    }
    fprintf(stderr, "no operation %s\n", m->m_op);
    return 2;
}

int main(int argc, char **argv) {
    struct command m;
    if (!parse(argc, argv, &m) || (m.m_op == NULL && (m.m_at & m.m_point & m.m_wake) != UINT64_MAX)) {
        return usage();
    }
    stay_on(m.m_shares ? usable_cpu(m.m_share - 1) : sched_getcpu());
    if (m.m_list) {
        for (const struct prove_op *op = prove_first_op; op; op = op->o_next) {
            printf("%s\n", op->o_name);
        }
        return 0;
    }
    if (!prove_self_check()) {
        fprintf(stderr, "prove does not see damage done on purpose\n");
        return 3;
    }
    return (m.m_at & m.m_point & m.m_wake) != UINT64_MAX ? replay(&m) : sweep_all(&m);
}
