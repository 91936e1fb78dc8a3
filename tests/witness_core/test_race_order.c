/* test_race_order.c - threads that learn orders, find reversals and come and go at one block, for ThreadSanitizer. */
#include <pthread.h>

#include "block_fixture.h"

#define THREADS 4
#define CLASSES 12
#ifdef __SANITIZE_THREAD__
#define ROUNDS 3000
#else
#define ROUNDS 20000
#endif

struct worker {
    struct w_block *k_block;
    uint64_t k_random;
};

static void *work(void *arg) {
    struct worker *k = arg;
    struct w_block *b = k->k_block;
    char name[8];
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t held[4], n = 0, last = 0;
        while (n < 4 && last < CLASSES - 1) { /* upwards: no cycle */
            last += 1 + (uint32_t)harness_below(&k->k_random, 4);
            if (last >= CLASSES) {
                break;
            }
            snprintf(name, sizeof name, "c%u", last);
            held[n] = class_named(b, name, 0);
            w_acquired(b, held[n], 1, harness_below(&k->k_random, 3) ? W_EXCLUSIVE : W_SHARED_RECURSIVE, 0, work);
            n++;
        }
        while (n-- != 0) {
            w_release(b, held[n], 1, true, work);
        }
    }
    return NULL;
}

TEST_BARE(threads_that_learn_one_order_find_nothing_wrong_with_it) {
    struct fixture f = fixture_of(NULL);
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){f.f_block, harness_seed_of(h, i)};
        EXPECT_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    EXPECT_EQ(reports(f.f_block), 0);
    EXPECT_EQ(f.f_block->b_header->h_missed, 0);
    EXPECT_GT(f.f_block->b_header->h_edges, CLASSES);
    struct w_block *b = f.f_block; /* one edge for each pair, however many learned it at a time */
    for (uint32_t i = 0; i < b->b_header->h_edges; i++) {
        EXPECT_EQ(*w_cell(b, b->b_edges[i].e_first, b->b_edges[i].e_second) >> W_EDGE_SHIFT, i + 1);
    }
    fixture_end(&f);
}

static void *work_inside(void *arg) {
    struct worker *k = arg;
    struct w_block *b = k->k_block;
    uint32_t id = class_named(b, "many", W_DUPOK | W_PAIRED);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t held[3], last = 0;
        for (int n = 0; n < 3; n++) { /* upwards: no pair is contrary */
            last += 1 + harness_below(&k->k_random, 300);
            held[n] = last;
            w_acquired(b, id, last, W_EXCLUSIVE, 0, work_inside);
        }
        for (int n = 3; n-- > 0;) {
            w_release(b, id, held[n], true, work_inside);
        }
    }
    return NULL;
}

TEST_BARE(threads_that_overwrite_pairs_of_one_class_find_nothing_wrong_with_an_order_that_is_kept) {
    struct fixture f = fixture_of(NULL);
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){f.f_block, harness_seed_of(h, i)};
        EXPECT_EQ(pthread_create(&threads[i], NULL, work_inside, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    EXPECT_EQ(reports(f.f_block), 0);
    uint32_t id = class_named(f.f_block, "many", 0);
    w_acquired(f.f_block, id, 5000, W_EXCLUSIVE, 0, work_inside);
    w_acquired(f.f_block, id, 1, W_EXCLUSIVE, 0, work_inside);
    w_release(f.f_block, id, 1, true, work_inside);
    w_release(f.f_block, id, 5000, true, work_inside);
    w_acquired(f.f_block, id, 1, W_EXCLUSIVE, 0, work_inside);
    w_acquired(f.f_block, id, 5000, W_EXCLUSIVE, 0, work_inside);
    EXPECT_EQ(reports(f.f_block), 1); /* the table still works */
    w_release(f.f_block, id, 5000, true, work_inside);
    w_release(f.f_block, id, 1, true, work_inside);
    fixture_end(&f);
}
