/* duo.h - two real processes, one on each core, that start a window of work together. Owns the control page that they
 * share and the child's life; must know no allocator. Takes no lock: turns are taken through one counter.
 *
 * The child spins while a case runs, so that its start costs a cache-line transfer and not a wake-up, and dies with
 * its parent.
 */
#ifndef BENCH_DUO_H
#define BENCH_DUO_H

#include "harness.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define DUO_STOP UINT64_MAX
#define DUO_PATIENCE_NS 5e9 /* a partner silent for this long has died or is stuck */

struct duo_page {
    uint64_t d_turn; /* number of the window that may run; DUO_STOP ends the child */
    uint64_t d_pad0[7];
    uint64_t d_done; /* number of the last window that the child has finished */
    uint64_t d_child_ops;
    double d_end_ns; /* of a window of given length */
    uint32_t d_ready;
    uint32_t d_failed;
    char d_reason[sizeof bench_reason]; /* the child's */
};

struct duo {
    struct duo_page *d_page;
    pid_t d_child;
    uint64_t d_window;
};

struct duo_work {
    bool (*dw_open)(void *ctx);                      /* in the child, once */
    bool (*dw_parent)(void *ctx, uint64_t n);        /* n operations */
    bool (*dw_child)(void *ctx, uint64_t n);
    void (*dw_close)(void *ctx);                     /* in the child, may be NULL */
};

static inline void duo_fail(struct duo_page *page) {
    memcpy(page->d_reason, bench_reason, sizeof bench_reason);
    __atomic_store_n(&page->d_failed, 1, __ATOMIC_RELEASE);
}

/* Why a window was not finished: the child's reason if it failed, else the parent's. */
static inline double duo_refuse(const struct duo_page *page) {
    char why[sizeof bench_reason];
    memcpy(why, __atomic_load_n(&page->d_failed, __ATOMIC_ACQUIRE) ? page->d_reason : bench_reason, sizeof why);
    return bench_refuse("two processes: %.150s", why);
}

static inline bool duo_wait(const uint64_t *word, uint64_t value, const struct duo_page *page) {
    double give_up = bench_now_ns() + DUO_PATIENCE_NS;
    for (uint64_t spins = 1; __atomic_load_n(word, __ATOMIC_ACQUIRE) < value; spins++) {
        bench_pause();
        if (spins % 4096 == 0 &&
            (__atomic_load_n(&page->d_failed, __ATOMIC_RELAXED) != 0 || bench_now_ns() > give_up)) {
            return false;
        }
    }
    return true;
}

/* The child's life: one window after the other. ops_until: windows of given length count what they did. */
static inline void duo_child(struct duo_page *page, const struct duo_work *w, void *ctx, uint64_t n, bool timed) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_pin(bench_core[1]);
    bool good = w->dw_open(ctx);
    if (!good) {
        duo_fail(page);
    }
    __atomic_store_n(&page->d_ready, 1, __ATOMIC_RELEASE);
    for (uint64_t window = 1; good; window++) {
        while (__atomic_load_n(&page->d_turn, __ATOMIC_ACQUIRE) < window) {
            bench_pause();
        }
        if (__atomic_load_n(&page->d_turn, __ATOMIC_RELAXED) == DUO_STOP) {
            break;
        }
        uint64_t ops = 0;
        do {
            good = w->dw_child(ctx, n);
            ops += n;
        } while (good && timed && bench_now_ns() < page->d_end_ns);
        page->d_child_ops = ops;
        if (!good) {
            duo_fail(page);
        }
        __atomic_store_n(&page->d_done, window, __ATOMIC_RELEASE);
    }
    if (w->dw_close) {
        w->dw_close(ctx);
    }
    _exit(good ? 0 : 1);
}

static inline bool duo_start(struct duo *d, const struct duo_work *w, void *ctx, uint64_t n, bool timed) {
    d->d_window = 0;
    d->d_child = -1;
    d->d_page =
        (struct duo_page *)mmap(NULL, sizeof *d->d_page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (d->d_page == MAP_FAILED) {
        bench_refuse("no memory for the control page");
        return false;
    }
    fflush(stdout);
    d->d_child = fork();
    if (d->d_child == 0) {
        duo_child(d->d_page, w, ctx, n, timed);
    }
    double give_up = bench_now_ns() + DUO_PATIENCE_NS;
    while (d->d_child > 0 && !__atomic_load_n(&d->d_page->d_ready, __ATOMIC_ACQUIRE)) {
        sched_yield();
        if (bench_now_ns() > give_up) {
            bench_refuse("the second process did not open its end in time");
            duo_fail(d->d_page);
            break;
        }
    }
    return d->d_child > 0 && !d->d_page->d_failed;
}

static inline void duo_stop(struct duo *d) {
    if (d->d_page == MAP_FAILED) {
        return;
    }
    __atomic_store_n(&d->d_page->d_turn, DUO_STOP, __ATOMIC_RELEASE);
    if (d->d_child > 0) {
        if (d->d_page->d_failed) {
            kill(d->d_child, SIGKILL);
        }
        int status;
        waitpid(d->d_child, &status, 0);
    }
    munmap(d->d_page, sizeof *d->d_page);
}

/* Both do n operations that depend on each other; nanoseconds an operation of the best window. */
static inline double duo_best(const struct duo_work *w, void *ctx, uint64_t n) {
    struct duo d;
    double best = NAN;
    bool good = duo_start(&d, w, ctx, n, false);
    double end = bench_now_ns() + bench_budget_ns;
    while (good) {
        double t = bench_now_ns();
        __atomic_store_n(&d.d_page->d_turn, ++d.d_window, __ATOMIC_RELEASE);
        good = w->dw_parent(ctx, n) && duo_wait(&d.d_page->d_done, d.d_window, d.d_page);
        double ns = bench_now_ns() - t;
        if (good && !(ns > best)) {
            best = ns;
        }
        if (bench_now_ns() > end) {
            break;
        }
    }
    if (!good) {
        best = duo_refuse(d.d_page); /* a case that broke down has no figure, whatever its earlier windows say */
    }
    duo_stop(&d);
    return best / (double)n;
}

/* Operations in `window_ns`, best of many windows: of both processes together, and of the parent alone. The two
 * kinds of window take turns. Returns their quotient: 2.0 is perfect scaling. */
static inline double duo_scaling(const struct duo_work *w, void *ctx, uint64_t n, double window_ns) {
    struct duo d;
    double alone = 0, together = 0;
    bool good = duo_start(&d, w, ctx, n, true);
    double end = bench_now_ns() + bench_budget_ns * 2;
    while (good) {
        uint64_t ops = 0;
        double start = bench_now_ns();
        do {
            good = w->dw_parent(ctx, n);
            ops += n;
        } while (good && bench_now_ns() < start + window_ns);
        double rate = (double)ops / (bench_now_ns() - start);
        alone = rate > alone ? rate : alone;

        ops = 0;
        start = bench_now_ns();
        d.d_page->d_end_ns = start + window_ns;
        __atomic_store_n(&d.d_page->d_turn, ++d.d_window, __ATOMIC_RELEASE);
        do {
            good = good && w->dw_parent(ctx, n);
            ops += n;
        } while (good && bench_now_ns() < start + window_ns);
        good = good && duo_wait(&d.d_page->d_done, d.d_window, d.d_page);
        /* From the common start to the end of the slower one. */
        rate = (double)(ops + d.d_page->d_child_ops) / (bench_now_ns() - start);
        together = rate > together ? rate : together;
        if (bench_now_ns() > end) {
            break;
        }
    }
    double quotient = good ? together / alone : duo_refuse(d.d_page);
    duo_stop(&d);
    return quotient;
}

#endif
