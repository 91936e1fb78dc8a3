/* test_race_contention.c - threads that count while another resets and reads, for ThreadSanitizer: nothing that was
 * counted before the last reset comes back, and nothing after it is lost.
 */
#include <pthread.h>

#include "block_fixture.h"

#define THREADS 3
#ifdef __SANITIZE_THREAD__
#define ROUNDS 3000
#else
#define ROUNDS 30000
#endif

struct worker {
    struct w_block *k_block;
    uint32_t k_class;
    uint32_t *k_done;
};

static void *work(void *arg) {
    struct worker *k = arg;
    struct w_block *b = k->k_block;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        w_before_acquire(b, k->k_class, i % 5, W_EXCLUSIVE, 0, work);
        w_acquired(b, k->k_class, i % 5, W_EXCLUSIVE, 0, work);
        w_acquired(b, k->k_class + 1, 1, W_EXCLUSIVE, 0, work);
        w_release(b, k->k_class, i % 5, true, work); /* not the last one taken: entries move */
        w_release(b, k->k_class + 1, 1, true, work);
    }
    (void)sm_add_acqrel(k->k_done, 1);
    return NULL;
}

TEST_BARE(a_reset_while_threads_count_brings_nothing_back_and_loses_nothing_of_later) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", W_DUPOK), done = 0, resets = 0;
    (void)class_named(b, "q", W_DUPOK);
    pthread_t threads[THREADS];
    struct worker worker = {b, p, &done};
    struct w_contention g;
    sm_store_rlx(&b->b_header->h_stat, 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, work, &worker), 0);
    }
    do {
        EXPECT_OK(w_contention_reset(b));
        resets++;
        w_contention_read(b, p, &g);
        EXPECT_LE(g.g_contended, (uint64_t)THREADS * ROUNDS);
        EXPECT_LE(g.g_waits, (uint64_t)THREADS * ROUNDS);
    } while (sm_load_acq(&done) < THREADS);
    for (uint32_t i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    EXPECT_OK(w_contention_reset(b));
    w_contention_read(b, p, &g);
    EXPECT_EQ(g.g_contended + g.g_waits + g.g_wait_total + g.g_wait_max + g.g_holds + g.g_hold_total, 0);
    EXPECT_EQ(g.g_point[W_WAITER][0].p_count, 0);
    done = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, work, &worker), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    w_contention_read(b, p, &g);
    EXPECT_EQ(g.g_contended, THREADS * ROUNDS);
    EXPECT_EQ(g.g_waits, THREADS * ROUNDS);
    EXPECT_EQ(g.g_holds, THREADS * ROUNDS);
    EXPECT_EQ(g.g_point[W_WAITER][0].p_count, THREADS * ROUNDS);
    EXPECT_LE(g.g_point[W_HOLDER][0].p_count, THREADS * ROUNDS);
    EXPECT_GT(resets, 0);
    EXPECT_EQ(b->b_header->h_missed, 0);
    EXPECT_EQ(reports(b), 0);
    fixture_end(&f);
}
