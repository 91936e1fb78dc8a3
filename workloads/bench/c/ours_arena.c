/* ours_arena.c - what an arena costs: creation, attachment, bytes, metadata. */
#include "ours.h"

#define LARGE_BYTES (64ull << 30)
#define OVERHEAD_BYTES (16u << 20) /* of items in each of the two steps */

/* Microseconds for an arena of 64 GiB; bytes, if asked for, is what it takes from memory while unused. */
static double create_large(double *bytes) {
    double best = NAN;
    double end = bench_now_ns() + bench_budget_ns;
    do {
        struct sm_arena *a = NULL;
        int fd = ours_object();
        double t = bench_now_ns();
        enum sm_err e = ours_arena(fd, LARGE_BYTES, &a);
        t = (bench_now_ns() - t) / 1e3;
        if (e == SM_OK) {
            if (bytes != NULL) {
                *bytes = ours_allocated(fd);
            }
            sm_arena_detach(a);
            sm_arena_close(a);
        }
        close(fd);
        if (e != SM_OK) {
            return ours_refuse("an arena of 64 GiB", e);
        }
        best = t > best ? best : t;
    } while (bench_now_ns() < end);
    return best;
}

static double run_create(void) {
    return create_large(NULL);
}

static double run_create_bytes(void) {
    double bytes = NAN;
    return isnan(create_large(&bytes)) ? NAN : bytes;
}

/* Microseconds to attach to an existing arena: verify, map, claim a CPU slot. */
static double run_attach(void) {
    struct sm_arena *a, *b;
    int fd = ours_object();
    enum sm_err e = ours_arena(fd, 1u << 30, &a);
    if (e != SM_OK) {
        close(fd);
        return ours_refuse("arena", e);
    }
    double best = NAN;
    double end = bench_now_ns() + bench_budget_ns;
    do {
        double t = bench_now_ns();
        e = sm_arena_attach(fd, true, NULL, "second", &b);
        t = (bench_now_ns() - t) / 1e3;
        if (e == SM_OK) {
            sm_arena_detach(b);
            sm_arena_close(b);
            best = t > best ? best : t;
        }
    } while (e == SM_OK && bench_now_ns() < end);
    sm_arena_detach(a);
    sm_arena_close(a);
    close(fd);
    return e == SM_OK ? best : ours_refuse("attach", e);
}

/* Percent of the items' bytes that an arena takes beyond them, as it grows: what the second n items cost after the
 * first n, so that fixed tables and the step of the commit count for nothing. */
static double overhead(uint64_t item_bytes) {
    struct sm_arena *a;
    struct sm_zone *z = NULL;
    int fd = ours_object();
    enum sm_err e = ours_arena(fd, 1u << 30, &a);
    if (e != SM_OK) {
        close(fd);
        return ours_refuse("arena", e);
    }
    e = ours_zone(a, "items", item_bytes, 0, &z);
    double before = 0, after = 0;
    uint64_t n = OVERHEAD_BYTES / item_bytes;
    for (uint64_t i = 0; e == SM_OK && i < 4 * n; i++) {
        if (i == n) {
            before = ours_allocated(fd);
        }
        void *p;
        e = sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &p);
    }
    after = ours_allocated(fd);
    sm_arena_detach(a);
    sm_arena_close(a);
    close(fd);
    if (e != SM_OK) {
        return ours_refuse("items", e);
    }
    double items = 3.0 * (double)n * (double)item_bytes;
    return (after - before - items) / items * 100.0;
}

static double run_overhead_2048(void) {
    return overhead(2048);
}
static double run_overhead_256(void) {
    return overhead(256);
}

static const struct bench_case cases[] = {{"create", run_create},
                                          {"create_bytes", run_create_bytes},
                                          {"attach", run_attach},
                                          {"overhead_2048", run_overhead_2048},
                                          {"overhead_256", run_overhead_256}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    return BENCH_SERVE(cases);
}
