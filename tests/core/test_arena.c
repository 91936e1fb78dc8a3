/* test_arena.c - creating and attaching: every sort of bad object has its own error and none a crash; regions; sizes.
 * Owns nothing. Bad objects are made from good ones through the descriptor, never through a mapping.
 */
#include "harness.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/arena_format.h"
#include "core/quiesce.h"

/* A finished arena that nobody is attached to. */
static int made(struct harness *h) {
    int fd = harness_memfd(h);
    struct sm_geometry g = {.g_max_bytes = 1 << 20, .g_max_cpus = 4, .g_max_zones = 8, .g_max_buckets = 64};
    struct sm_arena *a = NULL;
    EXPECT_OK(sm_arena_create(fd, &g, NULL, "maker", &a));
    sm_arena_close(a);
    return fd;
}

static enum sm_err attach(int fd) {
    struct sm_arena *a = NULL;
    enum sm_err err = sm_arena_attach(fd, true, NULL, "guest", &a);
    if (err == SM_OK) {
        EXPECT_EQ(harness_findings(a, true), 0);
        sm_arena_close(a);
    } else {
        EXPECT_TRUE(a == NULL);
    }
    return err;
}

static void load(int fd, struct sm_header_shm *h) {
    EXPECT_EQ(pread(fd, h, sizeof *h, 0), sizeof *h);
}

static void store(int fd, const struct sm_header_shm *h) {
    EXPECT_EQ(pwrite(fd, h, sizeof *h, 0), sizeof *h);
}

TEST_BARE(a_finished_arena_can_be_attached) {
    EXPECT_OK(attach(made(h)));
}

TEST_BARE(a_zero_length_object_is_half_made) {
    EXPECT_ERR(attach(harness_memfd(h)), SM_HALF_MADE);
}

TEST_BARE(an_object_of_zero_bytes_is_half_made) {
    int fd = harness_memfd(h);
    EXPECT_EQ(ftruncate(fd, 1 << 20), 0);
    EXPECT_ERR(attach(fd), SM_HALF_MADE);
}

TEST_BARE(an_object_whose_creator_died_is_half_made) {
    int fd = made(h);
    struct sm_header_shm hd;
    load(fd, &hd);
    hd.h_state = SM_STATE_FORMATTING;
    store(fd, &hd);
    EXPECT_ERR(attach(fd), SM_HALF_MADE);
}

TEST_BARE(a_foreign_object_is_no_arena) {
    int fd = harness_memfd(h), tiny = harness_memfd(h);
    EXPECT_EQ(ftruncate(fd, 1 << 20), 0);
    EXPECT_EQ(pwrite(fd, "%PDF-1.7 and so on", 18, 0), 18);
    EXPECT_ERR(attach(fd), SM_NOT_ARENA);
    EXPECT_EQ(pwrite(tiny, "hi", 2, 0), 2);
    EXPECT_ERR(attach(tiny), SM_NOT_ARENA);
}

TEST_BARE(what_is_no_file_is_refused) {
    int fd[2];
    struct sm_arena *a = NULL;
    EXPECT_EQ(pipe(fd), 0);
    EXPECT_NE(sm_arena_attach(fd[0], true, NULL, NULL, &a), SM_OK);
    EXPECT_NE(sm_arena_attach(-1, true, NULL, NULL, &a), SM_OK);
    EXPECT_NE(sm_arena_create(-1, NULL, NULL, NULL, &a), SM_OK);
    close(fd[0]);
    close(fd[1]);
}

TEST_BARE(an_object_cut_anywhere_is_truncated) {
    int fd = made(h);
    struct sm_header_shm hd;
    load(fd, &hd);
    const uint64_t cuts[] = {hd.h_object_bytes - 1,
                             hd.h_object_bytes - SM_PAGE,
                             hd.h_object_bytes / 2,
                             SM_PAGE,
                             sizeof hd,
                             sizeof hd - 1,
                             64,
                             8};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        EXPECT_EQ(ftruncate(fd, (off_t)cuts[i]), 0);
        enum sm_err err = attach(fd);
        EXPECT(err == SM_TRUNCATED || (cuts[i] < sizeof hd && err == SM_HALF_MADE), "cut at %llu gave %s",
               (unsigned long long)cuts[i], sm_err_name(err));
    }
}

TEST_BARE(another_layout_version_is_named_as_such) {
    int fd = made(h);
    struct sm_header_shm hd;
    load(fd, &hd);
    hd.h_version++;
    hd.h_checksum = sm_format_checksum(&hd);
    store(fd, &hd);
    EXPECT_ERR(attach(fd), SM_VERSION);
}

TEST_BARE(every_flipped_bit_that_matters_is_seen) {
    int fd = made(h);
    struct sm_header_shm good, copy;
    load(fd, &good);
    size_t checked_end = offsetof(struct sm_header_shm, h_region) + SM_R_FIXED * sizeof(struct sm_region_shm);
    for (size_t bit = 0; bit < sizeof good * 8; bit++) {
        struct sm_header_shm bad = good;
        ((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        store(fd, &bad);
        enum sm_err err = sm_arena_verify(fd, &copy), expected = SM_CORRUPT;
        size_t byte = bit / 8;
        if (byte < 8) {
            expected = SM_NOT_ARENA;
        } else if (byte < 12) {
            expected = SM_VERSION;
        } else if (byte >= checked_end &&
                   (byte < offsetof(struct sm_header_shm, h_state) || byte >= offsetof(struct sm_header_shm, h_pad))) {
            expected = SM_OK; /* companions' regions, checked when they are looked for; padding */
        } else if ((bad.h_flags ^ good.h_flags) & SM_ARENA_COMPANIONS) {
            expected = SM_OK; /* armed or not: may change while the arena lives */
        }
        EXPECT(err == expected, "bit %zu of byte %zu gave %s, expected %s", bit % 8, byte, sm_err_name(err),
               sm_err_name(expected));
    }
    store(fd, &good);
    EXPECT_OK(attach(fd));
}

TEST_BARE(random_headers_never_crash_an_attach) {
    int fd = made(h);
    struct sm_header_shm good, copy;
    load(fd, &good);
    for (int round = 0; round < 3000; round++) {
        struct sm_header_shm bad = good;
        uint64_t bytes = 1 + harness_below(&h->h_random, 40);
        for (uint64_t i = 0; i < bytes; i++) {
            size_t at = 8 + harness_below(&h->h_random, sizeof bad - 8);
            ((uint8_t *)&bad)[at] = (uint8_t)harness_random(&h->h_random);
        }
        bad.h_version = SM_LAYOUT_VERSION;
        bad.h_state = SM_STATE_READY;
        bad.h_checksum = sm_format_checksum(&bad); /* an enemy computes it too */
        store(fd, &bad);
        enum sm_err err = sm_arena_verify(fd, &copy);
        EXPECT(err == SM_OK || err == SM_CORRUPT || err == SM_TRUNCATED, "round %d gave %s", round, sm_err_name(err));
        if (err == SM_OK) {
            struct sm_arena *a = NULL;
            EXPECT_OK(sm_arena_attach(fd, false, NULL, "guest", &a));
            (void)harness_findings(a, false);
            sm_arena_close(a);
        }
    }
}

TEST_BARE(creating_over_something_is_refused_and_leaves_it_alone) {
    int fd = made(h);
    struct sm_arena *a = NULL;
    EXPECT_ERR(sm_arena_create(fd, NULL, NULL, NULL, &a), SM_EXISTS);
    EXPECT_OK(attach(fd));
}

TEST_BARE(a_geometry_out_of_range_is_invalid) {
    int fd = harness_memfd(h);
    struct sm_arena *a = NULL;
    const struct sm_geometry bad[] = {{.g_max_bytes = 1},
                                      {.g_max_bytes = 1ull << 60},
                                      {.g_max_cpus = 4095},
                                      {.g_max_zones = 5000},
                                      {.g_max_queues = UINT32_MAX},
                                      {.g_max_types = 255},
                                      {.g_max_buckets = UINT32_MAX},
                                      {.g_max_events = UINT32_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT_ERR(sm_arena_create(fd, &bad[i], NULL, NULL, &a), SM_INVALID);
    }
    uint64_t bytes = 1;
    EXPECT_OK(sm_os_size(fd, &bytes));
    EXPECT_EQ(bytes, 0);
}

static void create_in_little_room(struct harness *h, void *ctx) {
    int fd = *(int *)ctx;
    struct rlimit limit = {1 << 20, 1 << 20};
    struct sm_arena *a = NULL;
    uint64_t bytes = 1;
    (void)h;
    signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_ERR(sm_arena_create(fd, NULL, NULL, NULL, &a), SM_NO_MEMORY);
    EXPECT_OK(sm_os_size(fd, &bytes));
    EXPECT_EQ(bytes, 0);
}

TEST_BARE(a_creation_that_finds_no_room_leaves_nothing) {
    int fd = harness_memfd(h);
    harness_join(h, harness_fork(h, create_in_little_room, &fd));
}

/* A file on a small tmpfs of the child's own; -1 where the system does not let a test mount one. */
static int on_small_tmpfs(const char *size) {
    char dir[] = "/tmp/shmalloc-test-XXXXXX", path[64];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        printf("skipped: no private mounts here\n");
        return -1;
    }
    EXPECT_TRUE(mkdtemp(dir) != NULL);
    bool mounted = mount("tmpfs", dir, "tmpfs", 0, size) == 0;
    snprintf(path, sizeof path, "%s/arena", dir);
    int fd = mounted ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    EXPECT_TRUE(!mounted || (fd >= 0 && unlink(path) == 0 && umount2(dir, MNT_DETACH) == 0));
    EXPECT_EQ(rmdir(dir), 0);
    return fd;
}

static void fill_a_small_tmpfs(struct harness *h, void *ctx) {
    int fd = on_small_tmpfs("size=6m");
    struct sm_arena *a = NULL;
    static void *item[4096];
    uint32_t n = 0;
    enum sm_err err = SM_OK;
    (void)h, (void)ctx;
    if (fd < 0) {
        return;
    }
    EXPECT_OK(sm_arena_create(fd, NULL, NULL, "filler", &a)); /* 1 GiB at most, 6 MiB there */
    struct sm_zone *z = harness_zone(a, "z", 4096, 0);
    while (n < 4096 && (err = sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[n])) == SM_OK) {
        memset(item[n++], 0xaa, 4096);
    }
    EXPECT_ERR(err, SM_NO_MEMORY); /* an error, not a signal */
    EXPECT_GT(n, 500);
    EXPECT_LT(a->a_space_bytes, 1 << 20);
    EXPECT_ERR(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item[n]), SM_NO_MEMORY); /* sleeping would not help */
    EXPECT_EQ(harness_findings(a, true), 0);
    while (n > 0) {
        EXPECT_OK(sm_zone_free(z, item[--n], NULL));
    }
    uint64_t pages;
    EXPECT_OK(sm_arena_reclaim(a, SM_RECLAIM_DRAIN_CPU, &pages));
    EXPECT_GT(pages, 500);
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[0]));
    EXPECT_OK(sm_zone_free(z, item[0], NULL));
    EXPECT_EQ(harness_findings(a, true), 0);
    sm_arena_close(a);
}

TEST_BARE(a_full_file_system_is_an_error_that_names_the_free_space) {
    harness_join(h, harness_fork(h, fill_a_small_tmpfs, NULL));
}

static void create_on_a_tiny_tmpfs(struct harness *h, void *ctx) {
    int fd = on_small_tmpfs("size=64k");
    struct sm_arena *a = NULL;
    uint64_t bytes = 1;
    (void)h, (void)ctx;
    if (fd < 0) {
        return;
    }
    EXPECT_ERR(sm_arena_create(fd, NULL, NULL, "tiny", &a), SM_NO_MEMORY);
    EXPECT_OK(sm_os_size(fd, &bytes));
    EXPECT_EQ(bytes, 0);
}

TEST_BARE(a_creation_on_a_full_file_system_leaves_nothing) {
    harness_join(h, harness_fork(h, create_on_a_tiny_tmpfs, NULL));
}

TEST_GEOMETRY(an_arena_of_64_gib_uses_less_than_2_mib_until_it_is_used, .g_max_bytes = 64ull << 30) {
    uint64_t bytes = 0, size = 0;
    struct sm_geometry full;
    EXPECT_OK(sm_os_allocated(h->h_fd, &bytes));
    EXPECT_LT(bytes, 2 << 20);
    EXPECT_OK(sm_os_size(h->h_fd, &size));
    EXPECT_OK(sm_arena_geometry(&h->h_geometry, &full));
    EXPECT_EQ(size, sm_arena_object_bytes(&full));
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    EXPECT_OK(sm_os_allocated(h->h_fd, &bytes));
    EXPECT_LT(bytes, 4 << 20); /* check reads nothing that would have to be allocated for it */
}

TEST(two_attachments_see_one_arena_at_two_addresses) {
    struct sm_arena *b = harness_attach(h, "second");
    EXPECT_TRUE(b->a_base != h->h_arena->a_base);
    EXPECT_NE(b->a_cpu_id, h->h_arena->a_cpu_id);
    struct sm_zone *z = harness_zone(h->h_arena, "z", 100, 0), *w = harness_open_zone(b, "z");
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    strcpy(item, "across");
    EXPECT_STR_EQ(sm_at(b, sm_off_of(h->h_arena, item)), "across");
    EXPECT_ERR(sm_zone_free(w, sm_at(b, sm_off_of(h->h_arena, item)), NULL), SM_NOT_OWNER);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(a_read_only_attachment_looks_and_changes_nothing) {
    struct sm_arena *r = NULL;
    struct sm_zone *z = harness_zone(h->h_arena, "z", 100, 0), *w = NULL;
    void *item = NULL;
    (void)z;
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "reader", &r));
    EXPECT_EQ(r->a_cpu_id, SM_CPU_NONE);
    EXPECT_EQ(harness_findings(r, true), 0);
    EXPECT_OK(sm_zone_open(r, "z", NULL, &w));
    EXPECT_ERR(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &item), SM_READ_ONLY);
    struct sm_zone_params p = {.zp_name = "more", .zp_bytes = 8};
    EXPECT_ERR(sm_zone_create(r, &p, &w), SM_READ_ONLY);
    sm_arena_close(r);
}

TEST(after_a_detach_every_operation_says_closed) {
    struct sm_arena *b = NULL;
    struct sm_zone *z = harness_zone(h->h_arena, "z", 100, 0), *w = NULL;
    void *item = NULL, *more = NULL;
    (void)z;
    EXPECT_OK(sm_arena_attach(h->h_fd, true, NULL, "short", &b));
    EXPECT_OK(sm_zone_open(b, "z", NULL, &w));
    EXPECT_OK(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_arena_detach(b)); /* frees the item it held */
    EXPECT_OK(sm_arena_detach(b));
    EXPECT_ERR(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &more), SM_CLOSED);
    EXPECT_ERR(sm_zone_alloc(w, SM_M_WAITOK, NULL, -1, &more), SM_CLOSED);
    EXPECT_NE(sm_zone_free(w, item, NULL), SM_OK);
    sm_arena_close(b);
    EXPECT_EQ(harness_census(h->h_arena).hc_kind[SM_HELD], 0);
}

/* ---- regions */

TEST(a_region_is_found_again_by_name_and_version) {
    void *mem = NULL, *again = NULL, *other = NULL;
    EXPECT_OK(sm_arena_region(h->h_arena, "witness", 10000, 3, &mem));
    strcpy(mem, "held here");
    struct sm_arena *b = harness_attach(h, "second");
    EXPECT_OK(sm_arena_region(b, "witness", 10000, 3, &again));
    EXPECT_STR_EQ(again, "held here");
    EXPECT_OK(sm_arena_region(b, "faults", 1, 1, &other));
    EXPECT_GE(llabs((uint8_t *)other - (uint8_t *)again), 10000);
    EXPECT_ERR(sm_arena_region(b, "witness", 10000, 4, &again), SM_MISMATCH);
    EXPECT_ERR(sm_arena_region(b, "witness", 100000, 3, &again), SM_MISMATCH);
    EXPECT_ERR(sm_arena_region(b, "a-name-of-16-byt", 1, 1, &again), SM_NAME_TOO_LONG);
    EXPECT_ERR(sm_arena_region(b, "", 1, 1, &again), SM_INVALID);
    EXPECT_ERR(sm_arena_region(b, "empty", 0, 1, &again), SM_INVALID);
    EXPECT_ERR(sm_arena_region(b, "huge", 1ull << 50, 1, &again), SM_TABLE_FULL);
    EXPECT_NE(sm_arena_region(b, "wrap", UINT64_MAX, 1, &again), SM_OK);
}

TEST(the_region_directory_fills_up_with_an_error) {
    enum sm_err err = SM_OK;
    int made_regions = 0;
    for (int i = 0; i < SM_MAX_REGIONS && err == SM_OK; i++) {
        char name[16];
        void *mem;
        snprintf(name, sizeof name, "r%d", i);
        err = sm_arena_region(h->h_arena, name, SM_PAGE, 1, &mem);
        made_regions += err == SM_OK;
    }
    EXPECT_ERR(err, SM_TABLE_FULL);
    EXPECT_EQ(made_regions, SM_MAX_REGIONS - SM_R_FIXED);
}

TEST(tunables_keep_their_ranges) {
    enum sm_tunable t;
    EXPECT_OK(sm_tunable_find("vm.uma.warn_s", &t));
    EXPECT_EQ(sm_tunable_get(h->h_arena, t), 300);
    EXPECT_OK(sm_tunable_set(h->h_arena, t, 0));
    EXPECT_EQ(sm_tunable_get(h->h_arena, t), 0);
    EXPECT_ERR(sm_tunable_set(h->h_arena, t, -1), SM_INVALID);
    EXPECT_ERR(sm_tunable_set(h->h_arena, t, 86401), SM_INVALID);
    EXPECT_ERR(sm_tunable_find("vm.uma.nothing", &t), SM_NOT_FOUND);
}

/* The row of counters of each CPU lies inside its region, whatever the number of types. */
TEST_BARE(counters_of_types_end_before_the_region_does) {
    static const uint32_t counts[] = {1, 8, 42, 43, 128, 250};
    for (uint32_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint32_t types = counts[i];
        struct sm_geometry g = {.g_max_bytes = 1 << 20, .g_max_cpus = 8, .g_max_zones = 16, .g_max_types = types};
        struct sm_arena *a = NULL;
        int fd = harness_memfd(h);
        EXPECT_OK(sm_arena_create(fd, &g, NULL, "types", &a));
        const struct sm_region_shm *r = &a->a_header->h_region[SM_R_TYPES];
        EXPECT_TRUE((uint8_t *)(a->a_type_stats + 8 * types) <= a->a_base + r->r_off + r->r_bytes);
        sm_arena_close(a);
    }
}
