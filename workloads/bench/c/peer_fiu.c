/* peer_fiu.c - libfiu's points: one that is not enabled, and one that is and does not happen. Owns nothing. */
#define FIU_ENABLE 1
#include <fiu-control.h>
#include <fiu.h>

#include "harness.h"

static bool point_batch(void *ctx, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        bench_use(ctx);
        if (fiu_fail("bench/point") != 0) {
            return false;
        }
    }
    return true;
}

static double run_off(void) {
    return bench_best(point_batch, NULL);
}
static double run_armed(void) {
    fiu_enable_random("bench/other", 1, NULL, 0, 0.5f);
    fiu_enable_random("bench/point", 1, NULL, 0, 0.0f);
    double ns = bench_best(point_batch, NULL);
    fiu_disable("bench/point");
    fiu_disable("bench/other");
    return ns;
}

static const struct bench_case cases[] = {{"off", run_off}, {"armed", run_armed}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    if (fiu_init(0) != 0) {
        fprintf(stderr, "fiu_init failed\n");
        return 1;
    }
    return BENCH_SERVE(cases);
}
