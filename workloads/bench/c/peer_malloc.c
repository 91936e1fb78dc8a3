/* peer_malloc.c - malloc and free of whichever library the dynamic linker finds first: the C library's, or the one in
 * LD_PRELOAD. Owns nothing shared: these allocators serve one process. */
#include "harness.h"

static bool pair_batch(void *ctx, uint64_t n) {
    size_t bytes = *(size_t *)ctx;
    for (uint64_t i = 0; i < n; i++) {
        void *p = malloc(bytes);
        bench_use(p);
        free(p);
    }
    return true;
}

static bool singles_batch(void *ctx, uint64_t n) {
    size_t bytes = *(size_t *)ctx;
    void *item[BENCH_BULK];
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        for (unsigned k = 0; k < BENCH_BULK; k++) {
            item[k] = malloc(bytes);
        }
        void *all = item;
        bench_use(all);
        for (unsigned k = 0; k < BENCH_BULK; k++) {
            free(item[k]);
        }
    }
    return true;
}

static size_t item_bytes = BENCH_ITEM_BYTES;

static double run_pair(void) {
    return bench_best(pair_batch, &item_bytes);
}

static double run_singles(void) {
    return bench_best(singles_batch, &item_bytes);
}

static const struct bench_case cases[] = {{"pair", run_pair}, {"singles", run_singles}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    return BENCH_SERVE(cases);
}
