/* test_tunable.c - the catalogue, ranges, visibility, and the tunables that send every CPU to the slow path. */
#include "harness.h"

TEST(every_tunable_starts_at_its_default_and_is_found_by_name) {
    for (int i = 0; i < SM_TU_COUNT; i++) {
        const struct sm_tunable_info *info = &sm_tunable_info[i];
        enum sm_tunable t = SM_TU_COUNT;
        EXPECT_EQ(sm_tunable_get(h->h_arena, (enum sm_tunable)i), info->ti_default);
        EXPECT_OK(sm_tunable_find(info->ti_name, &t));
        EXPECT_EQ(t, i);
        EXPECT_GT(strlen(info->ti_text), 0);
    }
    enum sm_tunable t;
    EXPECT_ERR(sm_tunable_find("vm.uma.nothing", &t), SM_NOT_FOUND);
    EXPECT_ERR(sm_tunable_find("", &t), SM_NOT_FOUND);
    EXPECT_ERR(sm_tunable_find(NULL, &t), SM_NOT_FOUND);
}

TEST(values_out_of_range_change_nothing) {
    for (int i = 0; i < SM_TU_COUNT; i++) {
        const struct sm_tunable_info *info = &sm_tunable_info[i];
        enum sm_tunable t = (enum sm_tunable)i;
        EXPECT_ERR(sm_tunable_set(h->h_arena, t, info->ti_least - 1), SM_INVALID);
        EXPECT_ERR(sm_tunable_set(h->h_arena, t, info->ti_most + 1), SM_INVALID);
        EXPECT_EQ(sm_tunable_get(h->h_arena, t), info->ti_default);
        EXPECT_OK(sm_tunable_set(h->h_arena, t, info->ti_least));
        EXPECT_EQ(sm_tunable_get(h->h_arena, t), info->ti_least);
        EXPECT_OK(sm_tunable_set(h->h_arena, t, info->ti_most));
        EXPECT_EQ(sm_tunable_get(h->h_arena, t), info->ti_most);
        EXPECT_OK(sm_tunable_set(h->h_arena, t, info->ti_default));
    }
    EXPECT_ERR(sm_tunable_set(h->h_arena, SM_TU_COUNT, 1), SM_INVALID);
}

TEST(a_value_is_seen_by_every_attachment_and_set_by_writable_ones) {
    struct sm_arena *b = harness_attach(h, "other"), *r;
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "watcher", &r));
    EXPECT_OK(sm_tunable_set(b, SM_TU_WARN_S, 7));
    EXPECT_EQ(sm_tunable_get(h->h_arena, SM_TU_WARN_S), 7);
    EXPECT_EQ(sm_tunable_get(r, SM_TU_WARN_S), 7);
    EXPECT_ERR(sm_tunable_set(r, SM_TU_WARN_S, 8), SM_READ_ONLY);
    EXPECT_EQ(sm_tunable_get(b, SM_TU_WARN_S), 7);
    sm_arena_close(r);
}

TEST(policy_tunables_send_every_cpu_to_the_slow_path_and_back) {
    struct sm_arena *a = h->h_arena, *b = harness_attach(h, "early");
    EXPECT_OK(sm_tunable_set(a, SM_TU_FAIL_RATE, 1000000));
    struct sm_arena *c = harness_attach(h, "late");
    struct sm_arena *all[] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(all[i]->a_cpu->cpu_claim, SM_CLAIM_POLICY);
    }
    EXPECT_OK(sm_tunable_set(b, SM_TU_NOSLEEP, 1));
    EXPECT_OK(sm_tunable_set(c, SM_TU_FAIL_RATE, 0)); /* the other one still wants it */
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(all[i]->a_cpu->cpu_claim, SM_CLAIM_POLICY);
    }
    struct sm_zone *z = harness_zone(a, "frame", 64, 0), *zone;
    struct sm_queue *q;
    void *item;
    EXPECT_TRUE(sm_cache_alloc(z) == NULL);
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item)); /* everything still works */
    EXPECT_OK(sm_queue_create(a, "q", 2, &q));
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    EXPECT_OK(sm_queue_get(q, 0, &zone, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_queue_close(q);
    EXPECT_OK(sm_tunable_set(a, SM_TU_NOSLEEP, 0));
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(all[i]->a_cpu->cpu_claim, 0);
    }
    EXPECT_EQ(a->a_ctl->ctl_policy, 0);
}
