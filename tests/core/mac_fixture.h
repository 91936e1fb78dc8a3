/* mac_fixture.h - what the MAC tests share: three scripted policies "a", "b", "c", and the sums that must not drift.
 * Each policy's slot holds its own value once initialised; what is destroyed must hold it, or 0.
 */
#ifndef TESTS_CORE_MAC_FIXTURE_H
#define TESTS_CORE_MAC_FIXTURE_H

#include <stdlib.h>

#include "harness.h"

#define POLICIES 3
#define REFUSAL 13

enum { INIT, DESTROY, COPY, CALLS };
static struct {
    int s_calls[CALLS];
    int s_fail_at[CALLS]; /* the n-th call fails, from 1; -1 every one */
    int s_empty;          /* destroyed without having been initialised */
    int s_how;
} script[POLICIES];

static uint64_t slot_of(int i) {
    return 0x5107u + (uint64_t)i;
}

static int called(int i, int which, uint64_t *slot, void *arg, int how) {
    int n = ++script[i].s_calls[which];
    if (which == COPY) {
        EXPECT_EQ(*slot, slot_of(i));
        EXPECT_EQ(*(uint64_t *)arg, slot_of(i));
    } else {
        EXPECT_EQ(((struct mac_label *)arg)->l_magic, MAC_LABEL_MAGIC);
    }
    if (which == DESTROY) {
        EXPECT_TRUE(*slot == slot_of(i) || *slot == 0);
        script[i].s_empty += *slot == 0;
        *slot = 0xdead;
        return 0;
    }
    script[i].s_how = how;
    if (script[i].s_fail_at[which] == -1 || script[i].s_fail_at[which] == n) {
        return REFUSAL + i;
    }
    *slot = slot_of(i);
    return 0;
}

#define POLICY_CALLBACK(name, i, which)                                                                                \
    static int name(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {                                        \
        (void)ctx;                                                                                                     \
        EXPECT_EQ(bytes, 8);                                                                                           \
        return called(i, which, mem, arg, how);                                                                        \
    }
POLICY_CALLBACK(init_a, 0, INIT)
POLICY_CALLBACK(destroy_a, 0, DESTROY)
POLICY_CALLBACK(copy_a, 0, COPY)
POLICY_CALLBACK(init_b, 1, INIT)
POLICY_CALLBACK(destroy_b, 1, DESTROY)
POLICY_CALLBACK(copy_b, 1, COPY)
POLICY_CALLBACK(init_c, 2, INIT)
POLICY_CALLBACK(destroy_c, 2, DESTROY)
POLICY_CALLBACK(copy_c, 2, COPY)

static const char *const policy_names[POLICIES] = {"a", "b", "c"};
static const struct sm_callback_shm no_callback = {SM_CB_ABSENT, ""};

static struct sm_callback_shm callback_named(const char *policy, const char *what) {
    struct sm_callback_shm cb = {SM_CB_NATIVE, ""};
    (void)snprintf(cb.cb_name, sizeof cb.cb_name, "t.%s.%s", policy, what);
    return cb;
}

static void natives(void) {
    static const sm_callback_fn fn[POLICIES][CALLS] = {
        {init_a, destroy_a, copy_a}, {init_b, destroy_b, copy_b}, {init_c, destroy_c, copy_c}};
    static const char *const what[CALLS] = {"init", "destroy", "copy"};
    for (int i = 0; i < POLICIES * CALLS; i++) {
        struct sm_callback_shm cb = callback_named(policy_names[i / CALLS], what[i % CALLS]);
        EXPECT_OK(sm_zone_register(cb.cb_name, fn[i / CALLS][i % CALLS]));
    }
}

static enum sm_err policy_add(struct sm_mb *mb, const char *name, uint32_t flags, uint32_t *slot) {
    struct sm_callback_shm init = callback_named(name, "init"), destroy = callback_named(name, "destroy"),
                           copy = callback_named(name, "copy");
    return sm_mac_register(mb, name, flags, &init, &destroy, &copy, slot);
}

static struct sm_mb *mbufs_of(struct sm_arena *a) {
    struct sm_mb *mb = NULL;
    EXPECT_OK(sm_mb_open(a, NULL, &mb));
    return mb;
}

/* The three policies, labels on every header. */
static struct sm_mb *labelled(struct sm_arena *a) {
    struct sm_mb *mb = mbufs_of(a);
    natives();
    for (uint32_t i = 0, slot; i < POLICIES; i++) {
        EXPECT_OK(policy_add(mb, policy_names[i], 0, &slot));
        EXPECT_EQ(slot, i);
    }
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_ALL));
    return mb;
}

static struct sm_zone_stats zone_stats(struct sm_mb *mb, enum sm_mb_zone which) {
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(mb->mb_arena, mb->mb_zone[which]->z_id, &s));
    return s;
}

struct used { /* items out of every mbuf zone, but for the clusters that cached packets keep */
    uint64_t u_zone[SM_MBZ_COUNT];
};

static struct used used_now(struct sm_mb *mb) {
    struct used u = {{0}};
    for (int i = 0; i < SM_MBZ_COUNT; i++) {
        u.u_zone[i] = zone_stats(mb, (enum sm_mb_zone)i).zs_used;
    }
    uint64_t kept = harness_census_zone(mb->mb_arena, mb->mb_zone[SM_MBZ_PACKET]->z_id).hc_kind[SM_CACHED];
    u.u_zone[SM_MBZ_CLUSTER] -= kept;
    return u;
}

static void expect_used(struct sm_mb *mb, const struct used *before) {
    struct used now = used_now(mb);
    for (int i = 0; i < SM_MBZ_COUNT; i++) {
        EXPECT(now.u_zone[i] == before->u_zone[i], "zone %d: %llu items out, before %llu", i,
               (unsigned long long)now.u_zone[i], (unsigned long long)before->u_zone[i]);
    }
}

/* I18 says that the sums agree with what is alive; so many are. */
static void expect_alive(struct sm_mb *mb, uint64_t alive) {
    const struct sm_mb_shm *s = mb->mb_shm;
    EXPECT_EQ(harness_findings(mb->mb_arena, true), 0);
    EXPECT_EQ(s->mb_labels_made - s->mb_labels_ended - s->mb_labels_reaped, alive);
}

/* Cached packets give their clusters back, so that the harness finds nothing out. */
static void drained(struct sm_mb *mb) {
    uint64_t pages;
    EXPECT_OK(sm_arena_reclaim(mb->mb_arena, SM_RECLAIM_DRAIN_CPU, &pages));
    expect_alive(mb, 0);
}

#endif
