/* ours_pair.c - shmalloc in one process: pairs, bulks, cold and warm items. */
#include "ours.h"

#define ITEMS 4096u
#define COLD_ITEMS 2048u

static struct sm_zone *zone;

static bool pair_batch(void *ctx, uint64_t n) {
    struct sm_zone *z = ctx;
    for (uint64_t i = 0; i < n; i++) {
        void *p = ours_alloc(z);
        bench_use(p);
        if (sm_unlikely(!ours_free(z, p))) {
            return false;
        }
    }
    return true;
}

static bool call_batch(void *ctx, uint64_t n) {
    struct sm_zone *z = ctx;
    for (uint64_t i = 0; i < n; i++) {
        void *p;
        if (sm_unlikely(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &p) != SM_OK)) {
            return false;
        }
        bench_use(p);
        if (sm_unlikely(sm_zone_free(z, p, NULL) != SM_OK)) {
            return false;
        }
    }
    return true;
}

static bool bulk_batch(void *ctx, uint64_t n) {
    struct sm_zone *z = ctx;
    void *item[BENCH_BULK];
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        uint32_t got;
        if (sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, BENCH_BULK, item, &got) != SM_OK) {
            return false;
        }
        void *all = item;
        bench_use(all);
        if (sm_zone_free_bulk(z, BENCH_BULK, item, &got) != SM_OK) {
            return false;
        }
    }
    return true;
}

/* 64 single allocations, then 64 single frees: what the malloc peers do in their bulk case. */
static bool singles_batch(void *ctx, uint64_t n) {
    struct sm_zone *z = ctx;
    void *item[BENCH_BULK];
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        for (unsigned k = 0; k < BENCH_BULK; k++) {
            item[k] = ours_alloc(z);
        }
        void *all = item;
        bench_use(all);
        for (unsigned k = 0; k < BENCH_BULK; k++) {
            if (sm_unlikely(!ours_free(z, item[k]))) {
                return false;
            }
        }
    }
    return true;
}

static double run_pair(void) {
    return bench_best(pair_batch, zone);
}
static double run_call(void) {
    return bench_best(call_batch, zone);
}
static double run_bulk(void) {
    return bench_best(bulk_batch, zone);
}
static double run_singles(void) {
    return bench_best(singles_batch, zone);
}

/* First use of COLD_ITEMS items of a new zone, one byte of each page touched: nanoseconds an item. */
static double first_use(uint64_t prealloc) {
    struct sm_arena *a = NULL;
    struct sm_zone *z = NULL;
    double best = NAN;
    double end = bench_now_ns() + bench_budget_ns;
    do {
        int fd = ours_object();
        enum sm_err e = ours_arena(fd, 64u << 20, &a);
        if (e == SM_OK) {
            e = ours_zone(a, "first", BENCH_ITEM_BYTES, prealloc, &z);
        }
        uint64_t i = 0;
        double t = bench_now_ns();
        for (; e == SM_OK && i < COLD_ITEMS; i++) {
            unsigned char *p = ours_alloc(z);
            if (p == NULL) {
                e = SM_NO_MEMORY;
                break;
            }
            *p = 1;
        }
        t = (bench_now_ns() - t) / COLD_ITEMS;
        if (a != NULL) {
            sm_arena_detach(a);
            sm_arena_close(a);
            a = NULL;
        }
        close(fd);
        if (e != SM_OK) {
            return ours_refuse("first use", e);
        }
        best = t > best ? best : t;
    } while (bench_now_ns() < end);
    return best;
}

static double run_cold(void) {
    return first_use(0);
}
static double run_prealloc(void) {
    return first_use(COLD_ITEMS);
}

static const struct bench_case cases[] = {{"pair", run_pair}, {"pair_call", run_call},
                                          {"bulk", run_bulk}, {"singles", run_singles},
                                          {"cold", run_cold}, {"prealloc", run_prealloc}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    struct sm_arena *a;
    int fd = ours_object();
    enum sm_err e = ours_arena(fd, 256u << 20, &a);
    if (e == SM_OK) {
        e = ours_zone(a, "items", BENCH_ITEM_BYTES, ITEMS, &zone);
    }
    if (e != SM_OK) {
        fprintf(stderr, "arena or zone: %s (%s)\n", sm_err_name(e), sm_err_text(e));
        return 1;
    }
    int status = BENCH_SERVE(cases);
    sm_arena_detach(a);
    sm_arena_close(a);
    close(fd);
    return status;
}
