/* fault_fixture.h - a fault block in memory that forked children share, and programs written by hand. */
#ifndef TESTS_FAULT_FIXTURE_H
#define TESTS_FAULT_FIXTURE_H

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faultinj/core/faultinj.h"
#include "harness.h"

struct faults {
    void *f_mem;
    uint64_t f_bytes;
    struct fi_block f_block;
    struct fi_hooking f_hooking;
};

static inline struct faults *faults_of(const struct fi_geometry *g) {
    static struct faults f;
    f.f_bytes = fi_block_bytes(g);
    f.f_mem = mmap(NULL, f.f_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_TRUE(f.f_mem != MAP_FAILED);
    EXPECT_OK(fi_block_format(f.f_mem, f.f_bytes, g, "test:entry"));
    EXPECT_OK(fi_block_open(f.f_mem, f.f_bytes, &f.f_block));
    f.f_hooking = (struct fi_hooking){.k_block = &f.f_block};
    return &f;
}

static inline void faults_end(struct faults *f) {
    munmap(f->f_mem, f->f_bytes);
}

static inline void faults_arm(struct faults *f, struct sm_arena *a) {
    struct sm_hooks hooks;
    fi_hooking_table(&f->f_hooking, &hooks);
    sm_arena_set_hooks(a, &hooks);
}

static inline uint32_t declared(struct fi_block *b, const char *name) {
    uint32_t number;
    EXPECT_OK(fi_point_get(b, name, true, &number));
    return number;
}

static inline struct fi_program one_term(struct fi_term t) {
    struct fi_program g = {.g_terms = 1};
    g.g_term[0] = t;
    return g;
}

static inline void set_one(struct fi_block *b, uint32_t point, struct fi_term t) {
    struct fi_program g = one_term(t);
    EXPECT_OK(fi_program_set(b, point, &g, 1));
}

/* Reaches a point `times` times; a bit for each time that something happened, the first in bit 0. */
static inline uint64_t pattern_of(struct fi_block *b, uint32_t point, const struct fi_request *q, int times) {
    uint64_t bits = 0;
    for (int i = 0; i < times; i++) {
        struct fi_verdict v;
        bits |= (uint64_t)fi_reach(b, point, q, &v) << i;
    }
    return bits;
}

#endif
