/* test_race_waiting.c - waits are read while they come and go. */
#include <pthread.h>

#include "block_fixture.h"

#define WAITS 20000u
#define SIGHTINGS 200u

static uint32_t classes[2];
static uint32_t done, seen_enough;

static void *waiter(void *arg) {
    struct w_block *b = arg;
    for (uint64_t k = 1; k <= WAITS || sm_load_acq(&seen_enough) == 0; k++) {
        w_before_acquire(b, classes[k % 2], k, (enum w_mode)(k % 3), W_QUIET, NULL);
        w_not_acquired(b, classes[k % 2], k);
    }
    sm_store_rel(&done, 1);
    return NULL;
}

/* The instance says which class and mode belong to it, and how many waits there were: parts of two waits do not fit. */
TEST_BARE(a_wait_is_never_seen_in_parts_of_two) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    pthread_t thread;
    uint32_t sightings = 0;
    classes[0] = class_named(b, "even", 0);
    classes[1] = class_named(b, "odd", 0);
    EXPECT_EQ(pthread_create(&thread, NULL, waiter, b), 0);
    while (sm_load_acq(&done) == 0) {
        struct w_thread_shm t;
        if (w_waiting_read(b, 0, &t) != W_SEEN || t.t_wait_class == W_NO_CLASS) {
            continue;
        }
        uint64_t k = t.t_wait_instance;
        EXPECT_EQ(t.t_wait_class, classes[k % 2]);
        EXPECT_EQ(t.t_wait_mode, (uint16_t)(k % 3));
        EXPECT_EQ(t.t_wait_number, (uint16_t)k);
        if (++sightings == SIGHTINGS) {
            sm_store_rel(&seen_enough, 1);
        }
    }
    pthread_join(thread, NULL);
    EXPECT_TRUE(sightings >= SIGHTINGS);
    fixture_end(&f);
}
