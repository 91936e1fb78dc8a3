/* block_fixture.h - a witness block in memory that forked children share, and locks that exist only in it. */
#ifndef TESTS_BLOCK_FIXTURE_H
#define TESTS_BLOCK_FIXTURE_H

#include <sys/mman.h>

#include "harness.h"
#include "witness/core/witness.h"

struct fixture {
    void *f_mem;
    uint64_t f_bytes;
    struct w_block *f_block;
};

static inline struct fixture fixture_of(const struct w_geometry *g) {
    struct fixture f = {.f_bytes = w_block_bytes(g)};
    f.f_mem = mmap(NULL, f.f_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_TRUE(f.f_mem != MAP_FAILED);
    EXPECT_OK(w_block_format(f.f_mem, f.f_bytes, g, "test:entry"));
    EXPECT_OK(w_block_open(f.f_mem, f.f_bytes, false, &f.f_block));
    return f;
}

static inline void fixture_end(struct fixture *f) {
    w_block_close(f->f_block);
    munmap(f->f_mem, f->f_bytes);
}

static inline uint32_t class_named(struct w_block *b, const char *name, uint32_t flags) {
    uint32_t id;
    EXPECT_OK(w_class_get(b, name, "mutex", 0, flags, &id));
    return id;
}

/* Places of this file stand for places of a program: any address will do. */
static inline void take(struct w_block *b, uint32_t id, enum w_mode mode) {
    w_acquired(b, id, 1, mode, 0, __builtin_return_address(0));
}
static inline void give(struct w_block *b, uint32_t id) {
    w_release(b, id, 1, true, __builtin_return_address(0));
}
static inline void nest(struct w_block *b, uint32_t first, enum w_mode m1, uint32_t second, enum w_mode m2) {
    take(b, first, m1);
    take(b, second, m2);
    give(b, second);
    give(b, first);
}
static inline void pair(struct w_block *b, uint32_t first, uint32_t second) {
    nest(b, first, W_EXCLUSIVE, second, W_EXCLUSIVE);
}
static inline uint32_t reports(const struct w_block *b) {
    return b->b_header->h_reports;
}
static inline const struct w_report_shm *last_report(const struct w_block *b) {
    EXPECT_GT(reports(b), 0);
    return &b->b_reports[reports(b) - 1];
}

#endif
