/* test_who.c - traced zones: who allocated what, where and when, as the walk over items that are out tells it; the table
 * of sites full, damaged, and left behind by a process that was killed in the middle of an insert.
 */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define MOST 256

struct seen {
    struct sm_who_item s_item[MOST];
    uint32_t s_n;
};

static int note(void *ctx, const struct sm_who_item *w) {
    struct seen *s = ctx;
    EXPECT_LT(s->s_n, MOST);
    s->s_item[s->s_n++] = *w;
    return 0;
}

static struct seen who(struct sm_arena *a) {
    struct seen s = {.s_n = 0};
    EXPECT_OK(sm_who_each(a, note, &s));
    return s;
}

/* What is told of one item, which must be out. */
static struct sm_who_item told(struct sm_arena *a, const struct sm_zone *z, const void *item) {
    struct seen s = who(a);
    for (uint32_t i = 0; i < s.s_n; i++) {
        if (s.s_item[i].wi_item + z->z_item_off == sm_off_of(a, item)) {
            return s.s_item[i];
        }
    }
    harness_fail(__FILE__, __LINE__, "of %u items none is at %p", s.s_n, item);
}

static const char *text_of(struct sm_arena *a, uint32_t site) {
    static char text[SM_SITE_TEXT];
    EXPECT_TRUE(sm_site_text(a, site, text));
    return text;
}

static void *alloc(struct sm_zone *z) {
    void *item;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    return item;
}

__attribute__((noinline)) static void *alloc_here(struct sm_zone *z) {
    void *item;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    return item;
}

__attribute__((noinline)) static void *alloc_there(struct sm_zone *z) {
    void *item;
    EXPECT_OK(sm_zone_alloc(z, SM_M_WAITOK | SM_M_ZERO, NULL, -1, &item));
    return item;
}

TEST(each_item_of_a_traced_zone_tells_where_when_and_by_whom_it_was_allocated) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "traced", 1300, SM_ZONE_TRACE), *plain = harness_zone(a, "plain", 64, 0);
    int64_t before = sm_os_wall_ns();
    void *here[3] = {alloc_here(z), alloc_here(z), alloc_here(z)}, *there = alloc_there(z), *other = alloc(plain);
    EXPECT_EQ(who(a).s_n, 5);
    uint32_t site = told(a, z, here[0]).wi_site;
    for (int i = 0; i < 3; i++) {
        struct sm_who_item w = told(a, z, here[i]);
        EXPECT_EQ(w.wi_kind, SM_HELD);
        EXPECT_EQ(w.wi_holder, a->a_cpu_id);
        EXPECT_EQ(w.wi_zone, z->z_id);
        EXPECT_EQ(w.wi_bytes, 1300);
        EXPECT_EQ(w.wi_pid, getpid());
        EXPECT_EQ(w.wi_type, UINT32_MAX);
        EXPECT_GE(w.wi_time_ns, before);
        EXPECT_LE(w.wi_time_ns, sm_os_wall_ns());
        EXPECT_TRUE(w.wi_traced && w.wi_site == told(a, z, here[i]).wi_site);
    }
    EXPECT_NE(told(a, z, there).wi_site, site);
    EXPECT_TRUE(strstr(text_of(a, site), "test_who+0x") != NULL); /* what the loader knows of a static function */
    EXPECT_FALSE(told(a, plain, other).wi_traced);
    EXPECT_EQ(told(a, plain, other).wi_time_ns, 0);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(sm_zone_free(z, here[i], NULL));
    }
    EXPECT_OK(sm_zone_free(z, there, NULL));
    EXPECT_OK(sm_zone_free(plain, other, NULL));
    EXPECT_EQ(who(a).s_n, 0);
}

TEST(an_arena_without_a_traced_zone_has_no_page_for_sites) {
    uint32_t site;
    EXPECT_EQ(h->h_arena->a_ctl->ctl_sites, 0);
    EXPECT_ERR(sm_site_intern(h->h_arena, "somewhere", &site), SM_NOT_FOUND);
    (void)harness_zone(h->h_arena, "traced", 64, SM_ZONE_TRACE);
    EXPECT_EQ(h->h_arena->a_ctl->ctl_sites, h->h_arena->a_header->h_max_sites);
}

TEST(an_item_that_passes_by_queue_and_ticket_changes_its_holder_and_keeps_its_site) {
    struct sm_arena *a = h->h_arena, *peer = harness_attach(h, "peer");
    struct sm_zone *z = harness_zone(a, "traced", 256, SM_ZONE_TRACE), *pz;
    struct sm_queue *q, *pq;
    struct sm_handle handle;
    void *item = alloc_here(z), *got;
    struct sm_who_item first = told(a, z, item);
    EXPECT_OK(sm_queue_create(a, "q", 4, &q));
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    struct sm_who_item queued = told(a, z, item);
    EXPECT_EQ(queued.wi_kind, SM_QUEUED);
    EXPECT_EQ(queued.wi_holder, 0); /* the first queue */
    EXPECT_OK(sm_queue_open(peer, "q", 0, &pq));
    EXPECT_OK(sm_queue_get(pq, 0, &pz, &got));
    struct sm_who_item passed = told(a, z, item);
    EXPECT_EQ(passed.wi_kind, SM_HELD);
    EXPECT_EQ(passed.wi_holder, peer->a_cpu_id);
    EXPECT_OK(sm_zone_ticket(pz, got, &handle));
    EXPECT_EQ(told(a, z, item).wi_kind, SM_TICKETED);
    EXPECT_OK(sm_zone_adopt(a, handle, &z, &got));
    struct sm_who_item back = told(a, z, item);
    EXPECT_EQ(back.wi_holder, a->a_cpu_id);
    EXPECT_NE(back.wi_gen, first.wi_gen);
    EXPECT_TRUE(first.wi_site != 0 && first.wi_site == queued.wi_site && first.wi_site == back.wi_site);
    EXPECT_EQ(back.wi_time_ns, first.wi_time_ns);
    EXPECT_OK(sm_zone_free(z, got, NULL));
    sm_queue_close(q);
    sm_queue_close(pq);
}

static uint64_t seen_in_ctor;
static int look_around(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    seen_in_ctor = who(arg).s_n;
    return 0;
}

TEST(an_item_inside_its_ctor_is_not_yet_out) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone_params p = {.zp_name = "z", .zp_bytes = 64, .zp_flags = SM_ZONE_TRACE};
    struct sm_zone *z;
    void *item;
    EXPECT_OK(sm_zone_register("look_around", look_around));
    p.zp_cb[SM_CB_CTOR] = (struct sm_callback_shm){SM_CB_NATIVE, "look_around"};
    EXPECT_OK(sm_zone_create(a, &p, &z));
    seen_in_ctor = 77;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, a, 0, &item));
    EXPECT_EQ(seen_in_ctor, 0);
    EXPECT_EQ(who(a).s_n, 1);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(a_site_that_was_set_counts_until_it_is_taken_back) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "traced", 64, SM_ZONE_TRACE);
    uint32_t site, again, got;
    void *item[4];
    EXPECT_OK(sm_site_intern(a, "parser: header", &site));
    EXPECT_OK(sm_site_intern(a, "parser: header", &again));
    EXPECT_EQ(site, again);
    EXPECT_ERR(sm_site_set(a, site + 1), SM_INVALID);
    EXPECT_OK(sm_site_set(a, site));
    EXPECT_OK(sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, 3, item, &got));
    EXPECT_OK(sm_site_set(a, SM_SITE_NONE));
    item[3] = alloc_here(z);
    for (int i = 0; i < 3; i++) {
        EXPECT_STR_EQ(text_of(a, told(a, z, item[i]).wi_site), "parser: header");
    }
    EXPECT_NE(told(a, z, item[3]).wi_site, site);
    EXPECT_OK(sm_zone_free_bulk(z, 4, item, &got));
}

TEST(every_nth_allocation_is_recorded_and_the_others_bear_no_older_record) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "traced", 64, SM_ZONE_TRACE);
    static const int64_t every[] = {1, 3, 0};
    for (int round = 0; round < 3; round++) {
        void *item[12];
        uint32_t recorded = 0, done;
        EXPECT_OK(sm_tunable_set(a, SM_TU_SITES, every[round]));
        for (int i = 0; i < 12; i++) { /* the same twelve items each time */
            bool due = sm_site_due(a);
            item[i] = alloc_here(z);
            struct sm_who_item w = told(a, z, item[i]);
            recorded += w.wi_site != SM_SITE_NONE;
            EXPECT_EQ(due, w.wi_site != SM_SITE_NONE);
            EXPECT_EQ(due, w.wi_time_ns != 0);
            EXPECT_EQ(due, w.wi_pid != 0);
        }
        EXPECT_EQ(recorded, every[round] ? 12 / every[round] : 0);
        EXPECT_OK(sm_zone_free_bulk(z, 12, item, &done));
    }
}

TEST_GEOMETRY(a_full_table_is_told_once_and_fails_nothing, .g_max_bytes = 4 << 20, .g_max_sites = 3) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "traced", 64, SM_ZONE_TRACE);
    struct sm_event_shm e;
    uint32_t site, told_of = 0;
    for (uint64_t after = 0; sm_event_next(a, after, &e) == SM_OK; after = e.ev_seq) {
        EXPECT_TRUE(strstr(e.ev_text, "places for allocation sites") == NULL);
    }
    for (int i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "site %d", i);
        EXPECT_OK(sm_site_intern(a, text, &site));
        EXPECT_EQ(site == SM_SITE_FULL, i >= 3);
    }
    void *item = alloc_here(z);
    EXPECT_STR_EQ(text_of(a, told(a, z, item).wi_site), "(table full)");
    for (uint64_t after = 0; sm_event_next(a, after, &e) == SM_OK; after = e.ev_seq) {
        told_of += strstr(e.ev_text, "all 3 places for allocation sites are taken") != NULL;
    }
    EXPECT_EQ(told_of, 1);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(a_text_too_long_is_cut_and_found_again) {
    char text[600], out[SM_SITE_TEXT];
    uint32_t site, again;
    (void)harness_zone(h->h_arena, "traced", 64, SM_ZONE_TRACE);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    EXPECT_OK(sm_site_intern(h->h_arena, text, &site));
    EXPECT_OK(sm_site_intern(h->h_arena, text, &again));
    EXPECT_EQ(site, again);
    EXPECT_TRUE(sm_site_text(h->h_arena, site, out));
    EXPECT_EQ(strlen(out), SM_SITE_TEXT - 1);
    EXPECT_ERR(sm_site_intern(h->h_arena, "", &site), SM_INVALID);
    EXPECT_FALSE(sm_site_text(h->h_arena, 12345678, out));
}

TEST_GEOMETRY(in_a_traced_arena_mallocs_of_every_size_are_told_with_type_bytes_and_site, .g_max_bytes = 16 << 20,
              .g_trace = true) {
    struct sm_arena *a = h->h_arena;
    static const uint64_t bytes[] = {1, 100, 3000, 65536, 300000};
    struct sm_zone *z[5];
    void *item[5];
    uint32_t type, site = 0;
    EXPECT_OK(sm_malloc_type(a, "first", &type));
    EXPECT_OK(sm_malloc_type(a, "second", &type));
    for (int i = 0; i < 5; i++) {
        EXPECT_OK(sm_malloc(a, bytes[i], type, SM_M_NOWAIT, 0, &z[i], &item[i]));
    }
    for (int i = 0; i < 5; i++) {
        struct sm_who_item w = told(a, z[i], item[i]);
        EXPECT_EQ(w.wi_bytes, bytes[i]);
        EXPECT_EQ(w.wi_type, type);
        EXPECT_EQ(w.wi_pid, getpid());
        EXPECT_TRUE(i == 0 || w.wi_site == site); /* one call of sm_malloc, above */
        site = w.wi_site;
        EXPECT_TRUE(strstr(text_of(a, w.wi_site), "test_who+0x") != NULL);
        EXPECT_OK(sm_malloc_free(a, item[i]));
    }
    EXPECT_EQ(who(a).s_n, 0);
}

TEST_GEOMETRY(a_traced_arena_traces_every_zone_and_opens_them_by_either_wish, .g_max_bytes = 16 << 20,
              .g_trace = true) {
    struct sm_zone_params p = {.zp_name = "z", .zp_bytes = 64}, s = {.zp_name = "s", .zp_master = "z"};
    struct sm_zone *z, *second, *again;
    struct sm_hooks none = {.h_version = SM_HOOKS_VERSION};
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    EXPECT_OK(sm_zone_create(h->h_arena, &s, &second));
    EXPECT_TRUE(z->z_flags & SM_ZONE_TRACE && second->z_flags & SM_ZONE_TRACE);
    EXPECT_OK(sm_zone_open(h->h_arena, "z", &p, &again));
    EXPECT_OK(sm_zone_open(h->h_arena, "s", &s, &again));
    p.zp_flags = SM_ZONE_TRACE;
    EXPECT_OK(sm_zone_open(h->h_arena, "z", &p, &again));
    sm_arena_set_hooks(h->h_arena, &none); /* hooks come and go; the tracing stays */
    sm_arena_set_hooks(h->h_arena, NULL);
    void *item = alloc(second);
    EXPECT_NE(told(h->h_arena, second, item).wi_site, SM_SITE_NONE);
    EXPECT_OK(sm_zone_free(second, item, NULL));
}

/* Every item of the smallest size has a record, and there is room for all of them. */
TEST_GEOMETRY(a_traced_arena_can_be_filled_with_the_smallest_items, .g_max_bytes = 1 << 20, .g_trace = true) {
    struct sm_zone *z = harness_zone(h->h_arena, "tiny", 16, SM_ZONE_REFCNT);
    uint64_t n = 0, items;
    void *item;
    enum sm_err err;
    while ((err = sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item)) == SM_OK) {
        n++;
    }
    EXPECT_EQ(err, SM_NO_MEMORY);
    items = (1 << 20) / 16;
    EXPECT_GT(n, items - items / 16);
    h->h_may_leave_items = true;
}

TEST(a_zone_opened_with_another_wish_to_trace_is_another_zone) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    struct sm_zone_params p = {.zp_name = "z", .zp_bytes = 64, .zp_flags = SM_ZONE_TRACE};
    EXPECT_ERR(sm_zone_open(h->h_arena, "z", &p, &z), SM_MISMATCH);
}

TEST(a_dump_tells_the_same_as_the_arena_did) {
    struct sm_arena *a = h->h_arena, *d = NULL;
    struct sm_zone *z = harness_zone(a, "traced", 300, SM_ZONE_TRACE);
    void *item[20];
    struct sm_dump_report r;
    uint32_t done;
    for (int i = 0; i < 20; i++) {
        item[i] = i % 2 ? alloc_here(z) : alloc_there(z);
    }
    struct seen live = who(a);
    int fd = harness_memfd(h);
    EXPECT_OK(sm_dump(a, fd, &r));
    EXPECT_OK(sm_zone_free_bulk(z, 20, item, &done));
    EXPECT_OK(sm_arena_attach(fd, false, NULL, NULL, &d));
    struct seen dumped = who(d);
    EXPECT_EQ(dumped.s_n, 20);
    EXPECT_EQ(memcmp(&live, &dumped, sizeof live), 0);
    EXPECT_TRUE(strstr(text_of(d, dumped.s_item[0].wi_site), "test_who+0x") != NULL);
    EXPECT_EQ(harness_findings(d, true), 0);
    sm_arena_close(d);
}

/* ---------------------------------------------------------------- damage */

static void mark(void *ctx, const struct sm_finding *f) {
    *(uint32_t *)ctx |= 1u << f->f_invariant;
}

static uint32_t fired(struct sm_arena *a) {
    struct sm_check_result r;
    uint32_t bits = 0;
    EXPECT_OK(sm_check(a, 1, mark, &bits, &r));
    return bits;
}

#define DAMAGE(a, place, value, bits)                                                                                  \
    do {                                                                                                               \
        __typeof__(place) *spot = &(place), old = *spot;                                                               \
        *spot = (__typeof__(place))(value);                                                                            \
        EXPECT_EQ(fired(a), bits);                                                                                     \
        (void)who(a);                                                                                                  \
        *spot = old;                                                                                                   \
        EXPECT_EQ(fired(a), 0);                                                                                        \
    } while (0)

TEST(i17_names_damaged_sites_and_records) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "traced", 300, SM_ZONE_TRACE);
    void *item = alloc_here(z);
    struct sm_slab_ref s;
    struct sm_site_shm *site = &a->a_sites[told(a, z, item).wi_site - 1], *empty = a->a_sites;
    const uint32_t i17 = 1u << 17;
    empty += empty->si_word != 0;
    EXPECT_EQ(empty->si_word, 0);
    EXPECT_OK(sm_slab_find(a, sm_off_of(a, item), &s));
    struct sm_trace_shm *t = sm_slab_trace(a, &s);
    EXPECT_EQ(fired(a), 0);
    DAMAGE(a, t->tr_site, a->a_ctl->ctl_sites + 1, i17);
    DAMAGE(a, t->tr_site, empty - a->a_sites + 1, i17);
    DAMAGE(a, site->si_word, site->si_word ^ 1ull << 40, i17);
    DAMAGE(a, site->si_word, SM_SITE_WORD(SM_SITE_WRITING, 0, 0, 0), i17); /* its record names it */
    DAMAGE(a, empty->si_word, 7, i17);
    DAMAGE(a, empty->si_word, 1ull << 32, i17);
    DAMAGE(a, empty->si_word, SM_SITE_WORD(SM_SITE_WRITING, 4000, 0, 0), i17);
    DAMAGE(a, empty->si_word, SM_SITE_WORD(SM_SITE_FINISHED, 0, 0, 0), i17);
    DAMAGE(a, site->si_text[2], '?', i17);
    DAMAGE(a, a->a_ctl->ctl_sites, 5, i17);
    DAMAGE(a, z->z_shm->z_flags, z->z_shm->z_flags & ~SM_ZONE_TRACE, i17);
    char text[SM_SITE_TEXT];
    memcpy(text, site->si_text, sizeof text);
    memset(site->si_text, 'x', sizeof text);
    EXPECT_EQ(fired(a), i17);
    memcpy(site->si_text, text, sizeof text);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

/* ---------------------------------------------------------------- death */

struct doomed {
    int64_t d_steps; /* crash points to pass before the one that kills */
};

static void count_down(void *ctx, uint32_t step) {
    if (--((struct doomed *)ctx)->d_steps < 0) {
        kill(getpid(), SIGKILL);
    }
}

static void insert_and_die(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "doomed");
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = ctx, .h_crash = count_down};
    uint32_t site;
    sm_arena_set_hooks(a, &hooks);
    EXPECT_OK(sm_site_intern(a, "the dead one's", &site));
    kill(getpid(), SIGKILL);
}

/* With one place only, so that the place the dead one left is the one that has to be taken over. */
TEST_GEOMETRY(a_place_left_by_a_writer_killed_at_any_step_is_passed_over_and_taken_again, .g_max_bytes = 4 << 20,
              .g_max_sites = 1) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "traced", 64, SM_ZONE_TRACE);
    bool unfinished = true;
    uint32_t rounds = 0;
    for (int64_t steps = 0; unfinished; steps++, rounds++) {
        struct doomed d = {steps};
        char text[SM_SITE_TEXT];
        pid_t child = harness_fork(h, insert_and_die, &d);
        uint32_t site = 0;
        HARNESS_UNTIL(a->a_sites[0].si_word != 0);
        harness_kill(h, child); /* dead already, or about to be */
        unfinished = !sm_site_text(a, 1, text);
        EXPECT_EQ(harness_findings(a, true), 0);
        EXPECT_OK(sm_site_intern(a, unfinished ? "mine" : "another", &site));
        EXPECT_EQ(site, unfinished ? 1 : SM_SITE_FULL);
        EXPECT_STR_EQ(text_of(a, 1), unfinished ? "mine" : "the dead one's");
        memset(a->a_sites, 0, sizeof *a->a_sites); /* the next round finds the place empty */
        EXPECT_OK(sm_reap(a, NULL));
    }
    EXPECT_GE(rounds, 3);
    (void)z;
}

TEST_GEOMETRY(a_place_that_a_live_writer_has_is_left_to_it, .g_max_bytes = 4 << 20, .g_max_sites = 1) {
    struct sm_arena *a = h->h_arena, *peer = harness_attach(h, "peer");
    uint32_t site;
    (void)harness_zone(a, "traced", 64, SM_ZONE_TRACE);
    uint64_t word = SM_SITE_WORD(SM_SITE_WRITING, peer->a_cpu_id, peer->a_cpu->cpu_gen, 5);
    a->a_sites[0].si_word = word;
    EXPECT_OK(sm_site_intern(a, "mine", &site));
    EXPECT_EQ(site, SM_SITE_FULL);
    EXPECT_EQ(a->a_sites[0].si_word, word);
    harness_close(h, peer); /* its slot is free now */
    EXPECT_OK(sm_site_intern(a, "mine", &site));
    EXPECT_EQ(site, 1);
}
