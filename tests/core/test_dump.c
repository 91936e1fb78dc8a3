/* test_dump.c - a dump is a consistent, sparse, read-only arena of its own. */
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

static int dump_to_memfd(struct sm_arena *a, struct sm_dump_report *r) {
    int fd = memfd_create("dump", MFD_CLOEXEC);
    EXPECT_TRUE(fd >= 0);
    EXPECT_OK(sm_dump(a, fd, r));
    return fd;
}

TEST(dump_holds_the_items_figures_and_bytes_of_the_moment) {
    struct sm_arena *a = h->h_arena, *d = NULL;
    struct sm_zone *z = harness_zone(a, "frame", 2048, 0);
    void *items[100];
    struct sm_dump_report r;
    for (int i = 0; i < 100; i++) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &items[i]));
        memset(items[i], i + 1, 2048);
    }
    int fd = dump_to_memfd(a, &r);
    memset(items[7], 0xff, 2048); /* after the dump: not in it */
    for (int i = 0; i < 100; i++) {
        EXPECT_OK(sm_zone_free(z, items[i], NULL));
    }
    EXPECT_OK(sm_arena_attach(fd, false, NULL, NULL, &d));
    EXPECT_EQ(d->a_live, false);
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(d, z->z_id, &s));
    EXPECT_EQ(s.zs_used, 100);
    for (int i = 0; i < 100; i++) {
        const uint8_t *copy = d->a_base + sm_off_of(a, items[i]);
        EXPECT_EQ(copy[0], i + 1);
        EXPECT_EQ(copy[2047], i + 1);
    }
    struct sm_check_result c;
    EXPECT_OK(sm_check(d, 10, NULL, NULL, &c));
    EXPECT_EQ(c.cr_findings, 0);
    sm_arena_close(d);
    close(fd);
}

TEST(dump_is_as_sparse_as_the_arena) {
    struct sm_dump_report r;
    uint64_t bytes = 0;
    int fd = dump_to_memfd(h->h_arena, &r);
    EXPECT_OK(sm_os_allocated(fd, &bytes));
    EXPECT_TRUE(bytes < r.dr_object_bytes / 4);
    EXPECT_TRUE(bytes <= r.dr_copied_bytes + 2 * SM_PAGE);
    close(fd);
}

TEST(dump_cannot_be_attached_for_writing) {
    struct sm_dump_report r;
    struct sm_arena *d = NULL;
    int fd = dump_to_memfd(h->h_arena, &r);
    EXPECT_ERR(sm_arena_attach(fd, true, NULL, NULL, &d), SM_READ_ONLY);
    close(fd);
}
