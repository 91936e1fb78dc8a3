/* peer_pthread.c - the C library's mutex in the loop of nested.h: plain, built with ThreadSanitizer, or run by helgrind. */
#include "harness.h"
#include "nested.h"

#include <pthread.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;

static bool nested_batch(void *ctx, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        pthread_mutex_lock(&first);
        pthread_mutex_lock(&second);
        bench_use(ctx);
        pthread_mutex_unlock(&second);
        pthread_mutex_unlock(&first);
    }
    return true;
}

static double run_nested(void) {
    return bench_best(nested_batch, &first);
}

static const struct bench_case cases[] = {{"nested", run_nested}};

static void *nothing(void *ctx) {
    return ctx;
}

int main(int argc, char **argv) {
    pthread_t thread;
    bench_arguments(argc, argv);
    /* A process that never had two threads may take a mutex without an atomic operation. */
    if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0) {
        return 1;
    }
    return BENCH_SERVE(cases);
}
