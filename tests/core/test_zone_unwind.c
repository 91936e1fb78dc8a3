/* test_zone_unwind.c - callbacks that fail: each row of UMA's unwinding table with exact counters and order of calls, and
 * the defects (a) to (d) of 2005, each with a test that would see it come back.
 * Owns a script that tells the callbacks when to fail and writes down what was called.
 */
#include "harness.h"

#define FAIL_ERRNO 12

enum call { CTOR, DTOR, INIT, FINI, ZINIT, ZFINI, CALLS };
static struct {
    int s_fail_at[CALLS]; /* the n-th call fails, counted from 1; 0 never; -1 always */
    int s_calls[CALLS];
    int s_order[4096]; /* what was called, in order */
    void *s_item[4096];
    int s_length;
    int s_how;
    void *s_arg;
} script;

static int called(enum call c, void *mem, int how, void *arg) {
    if (script.s_length < 4096) {
        script.s_order[script.s_length] = c;
        script.s_item[script.s_length++] = mem;
    }
    script.s_how = how;
    script.s_arg = arg;
    int n = ++script.s_calls[c];
    return script.s_fail_at[c] == -1 || script.s_fail_at[c] == n ? FAIL_ERRNO : 0;
}

#define CALLBACK(name, which)                                                                                          \
    static int name(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {                                        \
        (void)bytes, (void)ctx;                                                                                        \
        return called(which, mem, how, arg);                                                                           \
    }
CALLBACK(ctor, CTOR)
CALLBACK(dtor, DTOR)
CALLBACK(init, INIT)
CALLBACK(fini, FINI)
CALLBACK(zinit, ZINIT)
CALLBACK(zfini, ZFINI)

static void register_all(void) {
    EXPECT_OK(sm_zone_register("t.ctor", ctor));
    EXPECT_OK(sm_zone_register("t.dtor", dtor));
    EXPECT_OK(sm_zone_register("t.init", init));
    EXPECT_OK(sm_zone_register("t.fini", fini));
    EXPECT_OK(sm_zone_register("t.zinit", zinit));
    EXPECT_OK(sm_zone_register("t.zfini", zfini));
    EXPECT_ERR(sm_zone_register("t.ctor", dtor), SM_EXISTS);
    EXPECT_ERR(sm_zone_register("", ctor), SM_INVALID);
}

/* A primary zone of 256-byte items with ctor, dtor, init and fini. */
static struct sm_zone *primary(struct harness *h, uint32_t flags) {
    struct sm_zone_params p = {
        .zp_name = "primary",
        .zp_bytes = 256,
        .zp_flags = flags,
        .zp_cb = {
            {SM_CB_NATIVE, "t.ctor"}, {SM_CB_NATIVE, "t.dtor"}, {SM_CB_NATIVE, "t.init"}, {SM_CB_NATIVE, "t.fini"}}};
    struct sm_zone *z = NULL;
    register_all();
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    return z;
}

/* A secondary zone on a plain keg, with an init and a fini between keg and zone. */
static struct sm_zone *secondary(struct harness *h, uint32_t flags) {
    struct sm_zone_params p = {
        .zp_name = "second",
        .zp_master = "plain",
        .zp_flags = flags,
        .zp_cb = {
            {SM_CB_NATIVE, "t.ctor"}, {SM_CB_NATIVE, "t.dtor"}, {SM_CB_NATIVE, "t.zinit"}, {SM_CB_NATIVE, "t.zfini"}}};
    struct sm_zone *z = NULL;
    register_all();
    (void)harness_zone(h->h_arena, "plain", 256, 0);
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    return z;
}

static struct sm_zone_stats stats(struct sm_zone *z) {
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(z->z_arena, z->z_id, &s));
    return s;
}

static void clean(struct sm_zone *z) {
    EXPECT_EQ(harness_findings(z->z_arena, true), 0);
}

TEST(callbacks_run_in_order_and_hear_flags_and_argument) {
    struct sm_zone *z = primary(h, 0);
    int arg;
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, &arg, 0, &item));
    EXPECT_EQ(script.s_order[0], INIT);
    EXPECT_EQ(script.s_order[script.s_length - 1], CTOR);
    EXPECT_TRUE(script.s_item[script.s_length - 1] == item);
    EXPECT_EQ(script.s_how & SM_M_NOWAIT, SM_M_NOWAIT);
    EXPECT_TRUE(script.s_arg == &arg);
    EXPECT_EQ(script.s_calls[INIT] % (int)z->z_items, 0); /* whole slabs */
    EXPECT_OK(sm_zone_free(z, item, &arg));
    EXPECT_EQ(script.s_order[script.s_length - 1], DTOR);
    EXPECT_TRUE(script.s_arg == &arg);
    EXPECT_EQ(script.s_calls[CTOR], 1);
    EXPECT_EQ(script.s_calls[DTOR], 1);
    EXPECT_EQ(script.s_calls[FINI], 0);
    uint64_t items, slabs;
    EXPECT_OK(sm_zone_reclaim(z, SM_RECLAIM_DRAIN_CPU, &items, &slabs));
    EXPECT_EQ(script.s_calls[FINI], script.s_calls[INIT]);
    EXPECT_EQ(script.s_calls[FINI], (int)(slabs * z->z_items));
}

TEST(a_failing_keg_init_is_one_fail_and_touches_no_count) {
    struct sm_zone *z = primary(h, 0);
    void *item = NULL;
    for (int at = 1; at <= (int)z->z_items; at++) {
        memset(&script, 0, sizeof script);
        script.s_fail_at[INIT] = at;
        EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item), SM_INIT_FAILED);
        EXPECT_EQ(h->h_arena->a_callback_errno, FAIL_ERRNO);
        EXPECT_EQ(script.s_calls[INIT], at);
        EXPECT_EQ(script.s_calls[FINI], at - 1);
        for (int i = 0; i < at - 1; i++) {
            EXPECT_TRUE(script.s_item[at + i] == script.s_item[at - 2 - i]); /* i-1 .. 0 */
        }
        struct sm_zone_stats s = stats(z);
        EXPECT_EQ(s.zs_fails, (uint64_t)at);
        EXPECT_EQ(s.zs_slabs, 0);
        EXPECT_EQ(s.zs_pages, 0);
        EXPECT_EQ(s.zs_keg_free, 0);
        EXPECT_EQ(s.zs_allocs, 0);
        clean(z);
    }
}

TEST(defect_b_a_keg_init_that_always_fails_ends_an_m_waitok_allocation) {
    struct sm_zone *z = primary(h, 0);
    void *item = NULL;
    script.s_fail_at[INIT] = -1;
    EXPECT_ERR(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item), SM_INIT_FAILED);
    EXPECT_EQ(script.s_calls[INIT], 1);
    EXPECT_EQ(stats(z).zs_fails, 1);
}

TEST(defect_d_a_zone_init_that_fails_inside_a_fill_truncates_it_and_is_counted) {
    struct sm_zone *z = secondary(h, 0);
    void *item = NULL;
    script.s_fail_at[ZINIT] = 6;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_EQ(script.s_calls[ZINIT], 6);
    EXPECT_EQ(script.s_calls[ZFINI], 0); /* those behind it go back without a fini */
    struct sm_zone_stats s = stats(z);
    EXPECT_EQ(s.zs_fails, 0);
    EXPECT_EQ(s.zs_init_fails, 1);
    EXPECT_EQ(s.zs_cpu_free, 4); /* 5 accepted, one of them given out */
    EXPECT_EQ(s.zs_used, 1);
    clean(z);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(a_zone_init_that_fails_on_the_first_item_falls_back_to_a_single_one) {
    struct sm_zone *z = secondary(h, 0);
    void *item = NULL;
    script.s_fail_at[ZINIT] = 1;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_EQ(script.s_calls[ZINIT], 2);
    EXPECT_EQ(script.s_calls[ZFINI], 0);
    EXPECT_EQ(stats(z).zs_fails, 0);
    EXPECT_EQ(stats(z).zs_cpu_free, 0);
    clean(z);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(a_zone_init_that_refuses_the_single_item_too_is_one_fail) {
    struct sm_zone *z = secondary(h, 0);
    void *item = NULL;
    script.s_fail_at[ZINIT] = -1;
    for (int waitok = 0; waitok < 2; waitok++) {
        EXPECT_ERR(sm_zone_alloc(z, waitok ? SM_M_WAITOK : SM_M_NOWAIT, NULL, -1, &item), SM_INIT_FAILED);
        struct sm_zone_stats s = stats(z);
        EXPECT_EQ(s.zs_fails, (uint64_t)waitok + 1);
        EXPECT_EQ(s.zs_allocs, 0);
        EXPECT_EQ(s.zs_used, 0);
        EXPECT_EQ(s.zs_keg_free, s.zs_slabs * s.zs_items_per_slab); /* all back in the keg */
        EXPECT_EQ(script.s_calls[ZFINI], 0);
        EXPECT_EQ(script.s_calls[CTOR], 0);
        clean(z);
    }
}

TEST(a_failing_ctor_runs_no_dtor_but_the_zone_fini_and_the_item_goes_to_its_slab) {
    struct sm_zone *z = secondary(h, 0);
    void *item = NULL;
    for (int waitok = 0; waitok < 2; waitok++) {
        memset(&script, 0, sizeof script);
        script.s_fail_at[CTOR] = -1;
        uint64_t cached = stats(z).zs_cpu_free;
        EXPECT_ERR(sm_zone_alloc(z, waitok ? SM_M_WAITOK : SM_M_NOWAIT, NULL, -1, &item), SM_CTOR_FAILED);
        EXPECT_EQ(h->h_arena->a_callback_errno, FAIL_ERRNO);
        EXPECT_EQ(script.s_calls[CTOR], 1);
        EXPECT_EQ(script.s_calls[DTOR], 0);
        EXPECT_EQ(script.s_calls[ZFINI], 1);
        EXPECT_EQ(script.s_order[script.s_length - 1], ZFINI);
        EXPECT_TRUE(script.s_item[script.s_length - 1] == script.s_item[script.s_length - 2]);
        struct sm_zone_stats s = stats(z);
        EXPECT_EQ(s.zs_fails, (uint64_t)waitok + 1);
        EXPECT_EQ(s.zs_used, 0);
        EXPECT_EQ(s.zs_allocs, 0);
        EXPECT_EQ(s.zs_frees, 0);
        EXPECT_EQ(harness_census(h->h_arena).hc_kind[SM_FREE] + s.zs_cpu_free, s.zs_slabs * s.zs_items_per_slab);
        if (waitok) {
            EXPECT_EQ(s.zs_cpu_free, cached - 1); /* it did not come back into the bucket */
        }
        clean(z);
    }
}

TEST(a_failing_ctor_of_a_primary_zone_leaves_init_and_fini_alone) {
    struct sm_zone *z = primary(h, 0);
    void *item = NULL;
    script.s_fail_at[CTOR] = 1;
    EXPECT_ERR(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item), SM_CTOR_FAILED);
    EXPECT_EQ(script.s_calls[DTOR] + script.s_calls[FINI], 0);
    EXPECT_EQ(stats(z).zs_fails, 1);
    EXPECT_EQ(stats(z).zs_used, 0);
    EXPECT_OK(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_EQ(stats(z).zs_allocs, 1);
}

TEST(every_nth_ctor_failure_leaves_the_same_zone_behind) {
    struct sm_zone *z = primary(h, 0);
    void *item[100];
    int refused = 1;
    for (int nth = 1; refused; nth++) { /* ends with a run in which nothing was refused */
        memset(&script, 0, sizeof script);
        script.s_fail_at[CTOR] = nth;
        int n = 0;
        refused = 0;
        for (int i = 0; i < 100; i++) {
            if (sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[n]) == SM_OK) {
                n++;
            } else {
                refused++;
            }
        }
        EXPECT_EQ(stats(z).zs_used, (uint64_t)n);
        while (n > 0) {
            EXPECT_OK(sm_zone_free(z, item[--n], NULL));
        }
        EXPECT_EQ(stats(z).zs_used, 0);
        clean(z);
    }
    EXPECT_EQ(stats(z).zs_fails, 100);
}

static int free_own(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)bytes, (void)how, (void)ctx;
    return sm_zone_free(*(struct sm_zone **)arg, mem, NULL) == SM_IN_CALLBACK ? 0 : FAIL_ERRNO;
}

TEST(a_ctor_that_frees_its_own_item_is_told_that_it_is_in_a_callback) {
    struct sm_zone_params p = {.zp_name = "z", .zp_bytes = 64, .zp_cb = {{SM_CB_NATIVE, "t.free_own"}}};
    struct sm_zone *z = NULL;
    void *item = NULL;
    EXPECT_OK(sm_zone_register("t.free_own", free_own));
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, &z, 0, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

static int alloc_other(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)mem, (void)bytes, (void)ctx;
    return arg == NULL || sm_zone_alloc(*(struct sm_zone **)arg, how & ~SM_M_ZERO, NULL, 0, (void **)mem) == SM_OK ? 0
                                                                                                                   : 12;
}

TEST(a_ctor_may_allocate_from_another_zone) {
    struct sm_zone *inner = harness_zone(h->h_arena, "inner", 64, 0), *z = NULL;
    struct sm_zone_params p = {.zp_name = "z", .zp_bytes = 64, .zp_cb = {{SM_CB_NATIVE, "t.alloc_other"}}};
    void *item = NULL;
    EXPECT_OK(sm_zone_register("t.alloc_other", alloc_other));
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, &inner, 0, &item));
    EXPECT_OK(sm_zone_free(inner, *(void **)item, NULL));
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

static int checking_ctor(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)mem, (void)bytes, (void)how, (void)ctx;
    return arg != NULL && harness_findings(arg, true) != 0;
}

TEST(an_item_under_construction_is_no_finding) {
    struct sm_zone_params p = {
        .zp_name = "z", .zp_bytes = 64, .zp_cb = {{SM_CB_NATIVE, "t.checking"}, {SM_CB_NATIVE, "t.checking"}}};
    struct sm_zone *z = NULL;
    void *item = NULL;
    EXPECT_OK(sm_zone_register("t.checking", checking_ctor));
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, h->h_arena, 0, &item));
    EXPECT_OK(sm_zone_free(z, item, h->h_arena));
}

TEST(defect_a_frees_that_bypass_the_cache_are_no_fails) {
    struct sm_zone *z = primary(h, SM_ZONE_NOBUCKET);
    void *item = NULL;
    for (int i = 0; i < 50; i++) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
    EXPECT_EQ(stats(z).zs_fails, 0);
    EXPECT_EQ(stats(z).zs_frees, 50);
}

TEST(defect_c_a_prealloc_that_gets_no_slab_is_an_error) {
    struct sm_zone *z = primary(h, 0);
    uint64_t effective;
    script.s_fail_at[INIT] = 3;
    EXPECT_ERR(sm_zone_prealloc(z, 1), SM_INIT_FAILED);
    EXPECT_OK(sm_zone_set_max(z, 2 * z->z_items, &effective));
    EXPECT_ERR(sm_zone_prealloc(z, 3 * z->z_items), SM_LIMIT);
    EXPECT_EQ(stats(z).zs_slabs, 2);
    clean(z);
}

static enum sm_err refuse_pages(void *ctx, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    (void)zone, (void)bytes, (void)flags;
    return p == *(enum sm_fault_point *)ctx ? SM_NO_MEMORY : SM_OK;
}

TEST(no_slab_and_no_pages_are_one_fail_each) {
    struct sm_zone *z = primary(h, 0);
    enum sm_fault_point point;
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &point, .h_fault = refuse_pages};
    const enum sm_fault_point points[] = {SM_FP_META, SM_FP_PAGE, SM_FP_COMMIT, SM_FP_SLAB, SM_FP_ALLOC};
    void *item = NULL;
    sm_arena_set_hooks(h->h_arena, &hooks);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        point = points[i];
        EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item), SM_NO_MEMORY);
        EXPECT_EQ(stats(z).zs_fails, i + 1);
        EXPECT_EQ(stats(z).zs_slabs, 0);
        clean(z);
    }
    struct sm_zone *fresh = harness_zone(h->h_arena, "fresh", 64, 0);
    point = SM_FP_BUCKET; /* without a bucket one goes without */
    EXPECT_OK(sm_zone_alloc(fresh, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_zone_free(fresh, item, NULL));
    EXPECT_EQ(stats(fresh).zs_cpu_free, 0);
    EXPECT_EQ(stats(fresh).zs_fails, 0);
    sm_arena_set_hooks(h->h_arena, NULL);
}
