/* harness.h - what every benchmark program shares: the clock, pinning, best-of-batches, and the conversation with the
 * driver. Owns the protocol; must know no allocator. Takes no lock.
 *
 * The driver starts each program once and asks it, in turns with the other programs, for one run of a case: a line
 * with the case's name on stdin, answered by "NAME VALUE" or "NAME ! REASON" on stdout. Turns, because a noisy
 * neighbour then hits every subject alike; batches of a fraction of a millisecond, because the shortest one most
 * likely ran undisturbed.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BENCH_ITEM_BYTES 2048
#define BENCH_BULK 64
#define BENCH_BATCH_NS 200000.0 /* a batch is made this long */

struct bench_case {
    const char *bc_name;
    double (*bc_run)(void); /* nanoseconds an operation, or whatever the case's unit is; NAN after bench_refuse */
};

static int bench_core[2] = {0, 0};
static double bench_budget_ns = 20e6; /* of one run of one case */
static char bench_reason[200];

static inline double bench_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void bench_pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set); /* refused in some containers: the run is then only noisier */
}

static inline void bench_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Makes the compiler believe that p is used and that memory has changed: no pair of calls is optimised away. */
#define bench_use(p) __asm__ __volatile__("" : "+r"(p) : : "memory")

__attribute__((format(printf, 1, 2))) static inline double bench_refuse(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(bench_reason, sizeof bench_reason, fmt, ap);
    va_end(ap);
    return NAN;
}

/* Nanoseconds an operation in the best batch; batch(ctx, n) does n operations. NAN when it returns false. */
static inline double bench_best(bool (*batch)(void *ctx, uint64_t n), void *ctx) {
    uint64_t n = 64;
    double ns = 0;
    for (;;) { /* warm up while looking for a batch that is long enough for the clock */
        double t = bench_now_ns();
        if (!batch(ctx, n)) {
            return NAN;
        }
        ns = bench_now_ns() - t;
        if (ns >= BENCH_BATCH_NS || n >= 1u << 24) {
            break;
        }
        n *= 2;
    }
    double best = ns;
    double end = bench_now_ns() + bench_budget_ns;
    do {
        double t = bench_now_ns();
        if (!batch(ctx, n)) {
            return NAN;
        }
        ns = bench_now_ns() - t;
        if (ns < best) {
            best = ns;
        }
    } while (bench_now_ns() < end);
    return best / (double)n;
}

/* usage: program CORE CORE BUDGET_MS */
static inline void bench_arguments(int argc, char **argv) {
    if (argc >= 4) {
        bench_core[0] = atoi(argv[1]);
        bench_core[1] = atoi(argv[2]);
        bench_budget_ns = atof(argv[3]) * 1e6;
    }
    bench_pin(bench_core[0]);
}

static inline int bench_serve(const struct bench_case *cases, size_t n) {
    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        double value = bench_refuse("no such case in this program");
        for (size_t i = 0; i < n; i++) {
            if (strcmp(cases[i].bc_name, line) == 0) {
                bench_refuse("the case failed without saying why");
                value = cases[i].bc_run();
            }
        }
        if (isnan(value)) {
            printf("%s ! %s\n", line, bench_reason);
        } else {
            printf("%s %.6g\n", line, value);
        }
        fflush(stdout);
    }
    return 0;
}
#define BENCH_SERVE(cases) bench_serve((cases), sizeof(cases) / sizeof(cases)[0])

#endif
