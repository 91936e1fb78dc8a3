/* test_hooks.c - companions side by side in one attachment, and an attachment that is armed before it is made. */
#include "harness.h"

#include "core/quiesce.h"

struct counted {
    int c_fault, c_taken, c_held, c_refused;
    uint32_t c_point;
};

static enum sm_err count_fault(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    struct counted *c = ctx;
    (void)zone;
    (void)bytes;
    (void)flags;
    c->c_fault++;
    if ((uint32_t)point == c->c_point) {
        c->c_refused++;
        return SM_NO_CPU;
    }
    return SM_OK;
}

static void count_lock(void *ctx, enum sm_lock_class cls, uint64_t instance, int taken) {
    struct counted *c = ctx;
    (void)cls;
    (void)instance;
    c->c_taken += taken;
    c->c_held += taken ? 1 : -1;
}

TEST(two_companions_are_armed_side_by_side_each_with_its_own_context) {
    struct sm_arena *a = h->h_arena;
    struct counted faults = {.c_point = SM_FP_COUNT}, locks = {.c_point = SM_FP_COUNT};
    struct sm_hooks one = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &faults, .h_fault = count_fault};
    struct sm_hooks other = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_LOCK, .h_ctx = &locks, .h_lock = count_lock};
    sm_arena_set_hooks(a, &one);
    sm_arena_set_hooks(a, &other);
    struct sm_zone *z = harness_zone(a, "both", 64, 0);
    void *item;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT(faults.c_fault > 0, "no fault point was passed");
    EXPECT_EQ(faults.c_taken, 0);
    EXPECT_EQ(locks.c_fault, 0);
    EXPECT(locks.c_taken > 0, "no lock was told of");
    EXPECT_EQ(locks.c_held, 0);
    int passed = faults.c_fault, taken = locks.c_taken;
    sm_arena_clear_hooks(a, SM_HOOK_LOCK);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT(faults.c_fault > passed, "the other companion was disarmed too");
    sm_arena_set_hooks(a, NULL);
    passed = faults.c_fault;
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_EQ(faults.c_fault, passed);
    EXPECT_EQ(locks.c_taken, taken);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(an_attachment_armed_before_it_is_made_can_be_refused_its_slot) {
    struct counted c = {.c_point = SM_FP_ATTACH};
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &c, .h_fault = count_fault};
    struct sm_runtime rt = {.rt_hooks = &hooks};
    struct sm_arena *a = NULL;
    EXPECT_ERR(sm_arena_attach(h->h_fd, true, &rt, "refused", &a), SM_NO_CPU);
    EXPECT_EQ(c.c_refused, 1);
    c.c_point = SM_FP_BARRIER;
    EXPECT_ERR(sm_arena_attach(h->h_fd, true, &rt, "refused", &a), SM_NO_CPU);
    EXPECT_EQ(c.c_refused, 2);
    c.c_point = SM_FP_COUNT;
    EXPECT_OK(sm_arena_attach(h->h_fd, true, &rt, "let in", &a));
    EXPECT(a->a_runtime.rt_hooks == NULL, "the caller's table is kept");
    EXPECT_EQ(a->a_hooks.h_mask & SM_HOOK_FAULT, SM_HOOK_FAULT);
    sm_arena_close(a);
}

/* Under a fault hook a call that left its operation open is not covered up by the next one. */
TEST(an_operation_left_open_is_refused_the_next_one_while_faults_are_armed) {
    struct counted c = {.c_point = SM_FP_COUNT};
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &c, .h_fault = count_fault};
    const uint64_t left = SM_OPWORD(SM_OP_SLOW, 0, 7);
    sm_arena_set_hooks(h->h_arena, &hooks);
    EXPECT_OK(sm_op_enter(h->h_arena, left));
    EXPECT_ERR(sm_op_enter(h->h_arena, SM_OPWORD(SM_OP_ADMIN, 0, 0)), SM_CORRUPT);
    EXPECT_EQ(h->h_arena->a_cpu->cpu_op, left);
    sm_op_leave(h->h_arena);
    EXPECT_OK(sm_op_enter(h->h_arena, left));
    sm_op_leave(h->h_arena);
}
