/* harness.h - the C test harness: registration, expectations, a fresh arena for each test, CPUs as threads or processes.
 * Owns the test's arena and every attachment, descriptor and child made through it. Must not create named segments:
 * arenas live in memfd objects. Each test runs in a child process of its own, so a crash, a sanitizer report or a
 * timeout is one failed test and the next one still runs.
 *
 * After each test the harness closes the extra attachments, then requires that no item is out (unless h_may_leave_items)
 * and that sm_check reports nothing (unless h_may_leave_findings).
 *
 * Environment: HARNESS_SEED replays, HARNESS_TIMEOUT seconds for each test, HARNESS_NOFORK=1 for a debugger.
 * Arguments: -l lists; anything else is a substring that the names of the tests to run contain.
 */
#ifndef TESTS_CORE_HARNESS_H
#define TESTS_CORE_HARNESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "core/shmalloc.h"

#define HARNESS_ATTACHMENTS 64
#define HARNESS_DESCRIPTORS 64
#define HARNESS_CHILDREN 64
#define HARNESS_TIMEOUT_S 90 /* of one test, unless the environment says otherwise */

struct harness {
    const char *h_name;
    struct sm_geometry h_geometry;
    int h_fd; /* memfd of the arena, -1 for a bare test */
    struct sm_arena *h_arena; /* CPU of the test itself */
    uint64_t h_seed;
    uint64_t h_random; /* state of harness_random */
    bool h_may_leave_items;
    bool h_may_leave_findings;
    pthread_mutex_t h_lock; /* the tables below, for tests whose threads attach */
    struct sm_arena *h_attached[HARNESS_ATTACHMENTS];
    int h_descriptors[HARNESS_DESCRIPTORS];
    uint32_t h_descriptor_count;
    pid_t h_children[HARNESS_CHILDREN];
};

typedef void (*harness_fn)(struct harness *h);

struct harness_test {
    const char *t_name;
    harness_fn t_fn;
    bool t_bare;
    struct sm_geometry t_geometry;
    struct harness_test *t_next;
};

void harness_register(struct harness_test *t);

#define HARNESS_TEST(claim, bare, ...)                                                                                 \
    static void claim(struct harness *h);                                                                              \
    static struct harness_test claim##_entry = {#claim, claim, bare, {__VA_ARGS__}, NULL};                             \
    __attribute__((constructor)) static void claim##_register(void) {                                                  \
        harness_register(&claim##_entry);                                                                              \
    }                                                                                                                  \
    static void claim(__attribute__((unused)) struct harness *h)

/* TEST(name_is_the_claim) { uses h->h_arena }: a fresh 64 MiB arena with 16 CPU slots. */
#define TEST(claim) HARNESS_TEST(claim, false, .g_max_bytes = 64ull << 20, .g_max_cpus = 16, .g_max_zones = 64)
/* The same with fields of struct sm_geometry of the test's choice. */
#define TEST_GEOMETRY(claim, ...) HARNESS_TEST(claim, false, __VA_ARGS__)
/* No arena is made. */
#define TEST_BARE(claim) HARNESS_TEST(claim, true, 0)

/* A failed expectation prints where, what and the command that replays it, and ends the test's process. May be used in
 * threads and in children of harness_fork too. */
_Noreturn void harness_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define EXPECT(cond, ...)                                                                                              \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            harness_fail(__FILE__, __LINE__, __VA_ARGS__);                                                             \
        }                                                                                                              \
    } while (0)
#define EXPECT_TRUE(cond) EXPECT((cond), "%s is false", #cond)
#define EXPECT_FALSE(cond) EXPECT(!(cond), "%s is true", #cond)
#define EXPECT_COMPARE(a, op, b)                                                                                       \
    do {                                                                                                               \
        long long harness_a = (long long)(a), harness_b = (long long)(b);                                              \
        EXPECT(harness_a op harness_b, "%s %s %s: %lld and %lld (0x%llx, 0x%llx)", #a, #op, #b, harness_a, harness_b,  \
               (unsigned long long)harness_a, (unsigned long long)harness_b);                                          \
    } while (0)
#define EXPECT_EQ(a, b) EXPECT_COMPARE(a, ==, b)
#define EXPECT_NE(a, b) EXPECT_COMPARE(a, !=, b)
#define EXPECT_GE(a, b) EXPECT_COMPARE(a, >=, b)
#define EXPECT_LE(a, b) EXPECT_COMPARE(a, <=, b)
#define EXPECT_GT(a, b) EXPECT_COMPARE(a, >, b)
#define EXPECT_LT(a, b) EXPECT_COMPARE(a, <, b)
#define EXPECT_STR_EQ(a, b)                                                                                            \
    do {                                                                                                               \
        const char *harness_a = (a), *harness_b = (b);                                                                 \
        EXPECT(strcmp(harness_a, harness_b) == 0, "%s == %s: \"%s\" and \"%s\"", #a, #b, harness_a, harness_b);        \
    } while (0)
#define EXPECT_ERR(call, code)                                                                                         \
    do {                                                                                                               \
        enum sm_err harness_e = (call);                                                                                \
        EXPECT(harness_e == (code), "%s gave %s (%s), expected %s", #call, sm_err_name(harness_e),                     \
               sm_err_text(harness_e), #code);                                                                         \
    } while (0)
#define EXPECT_OK(call) EXPECT_ERR(call, SM_OK)

/* ---- randomness: seeded, replayed by HARNESS_SEED */
uint64_t harness_random(uint64_t *state);
static inline uint64_t harness_below(uint64_t *state, uint64_t bound) {
    return harness_random(state) % bound;
}
/* A state of its own for thread or process number i. */
uint64_t harness_seed_of(const struct harness *h, uint32_t i);

/* ---- arenas */
void harness_keep(struct harness *h, int fd); /* closed after the test */
int harness_memfd(struct harness *h); /* an empty object, closed after the test */
/* A second attachment with its own description, CPU slot and mapping: what another process would have. */
struct sm_arena *harness_attach(struct harness *h, const char *name);
/* A second attachment with its own description and CPU slot over the FIRST attachment's mapping: threads act as CPUs
 * and ThreadSanitizer sees every access at one address. */
struct sm_arena *harness_attach_shared(struct harness *h, const char *name);
void harness_close(struct harness *h,
                   struct sm_arena *a); /* one of the two above; the rest are closed after the test */

struct harness_census { /* items by kind, from the state words */
    uint64_t hc_kind[SM_KIND_END];
    uint64_t hc_slabs;
};
struct harness_census harness_census(struct sm_arena *a);
struct harness_census harness_census_zone(struct sm_arena *a, uint32_t zone); /* FREE words belong to no zone */
/* Findings of sm_check; prints them when `print`. */
uint64_t harness_findings(struct sm_arena *a, bool print);

/* A zone with default parameters but for name and size. */
struct sm_zone *harness_zone(struct sm_arena *a, const char *name, uint64_t bytes, uint32_t flags);
struct sm_zone *harness_open_zone(struct sm_arena *a, const char *name);

/* ---- CPUs */
struct harness_cpu {
    struct harness *c_harness;
    struct sm_arena *c_arena;
    uint32_t c_index, c_count;
    uint64_t c_random;
    void *c_ctx;
    pthread_barrier_t *c_barrier; /* of all CPUs of the run; NULL in processes */
};
typedef void (*harness_cpu_fn)(struct harness_cpu *c);
/* n threads, each with a shared attachment, started together and joined. */
void harness_run_threads(struct harness *h, uint32_t n, harness_cpu_fn fn, void *ctx);
/* n forked processes, each with an attachment of its own, waited for; each must end with 0. */
void harness_run_processes(struct harness *h, uint32_t n, harness_cpu_fn fn, void *ctx);

/* ---- processes: the harness kills what is left of its own children after the test */
typedef void (*harness_child_fn)(struct harness *h, void *ctx);
pid_t harness_fork(struct harness *h, harness_child_fn fn, void *ctx); /* the child ends with 0 when fn returns */
void harness_join(struct harness *h, pid_t child); /* it must have ended with 0 */
void harness_kill(struct harness *h, pid_t child); /* SIGKILL, and waits */

/* A gate lets processes or threads wait for each other without sleeping: a pipe that carries one byte for each pass. */
struct harness_gate {
    int g_read, g_write;
};
void harness_gate_init(struct harness *h, struct harness_gate *g);
void harness_gate_post(const struct harness_gate *g);
void harness_gate_wait(const struct harness_gate *g);

/* Spins with sched_yield until cond holds; fails the test when the deadline passes. */
#define HARNESS_UNTIL(cond)                                                                                            \
    do {                                                                                                               \
        int64_t harness_deadline = sm_os_now_ns() + 20000000000ll;                                                     \
        while (!(cond)) {                                                                                              \
            EXPECT(sm_os_now_ns() < harness_deadline, "%s did not come true in 20 s", #cond);                          \
            sm_os_yield();                                                                                             \
        }                                                                                                              \
    } while (0)

#endif
