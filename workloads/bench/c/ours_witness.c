/* ours_witness.c - what watching locks costs: an arena's mutexes with no hooks, with witness on, and between two processes.
 * The loop of two nested mutexes is that of the peers (nested.h). */
#include "ours.h"

#include "duo.h"
#include "nested.h"
#include "witness/core/witness.h"

#define WINDOW_NS 1e6

static int object;

/* An attachment with two mutexes, which nobody else takes. */
struct seat {
    struct sm_arena *s_arena;
    struct sm_userlock *s_lock[2];
    struct w_block *s_block;
    struct w_hooking s_hooking;
};

static bool seat_sit(struct seat *s, const char *first, const char *second) {
    const char *name[2] = {first, second};
    enum sm_err e = SM_OK;
    for (int i = 0; i < 2 && e == SM_OK; i++) {
        struct sm_userlock_params p = {.up_name = name[i], .up_kind = SM_UL_MUTEX};
        e = sm_userlock_create(s->s_arena, &p, &s->s_lock[i]);
        if (e == SM_EXISTS) {
            e = sm_userlock_open(s->s_arena, &p, &s->s_lock[i]);
        }
    }
    if (e != SM_OK) {
        ours_refuse("mutex", e);
    }
    return e == SM_OK;
}

static void seat_leave(struct seat *s) {
    sm_arena_set_hooks(s->s_arena, NULL);
    w_block_close(s->s_block);
    s->s_block = NULL;
}

static bool seat_watch(struct seat *s) {
    static struct w_geometry g; /* the defaults */
    struct sm_hooks hooks;
    void *mem;
    uint64_t bytes = w_block_bytes(&g);
    enum sm_err e = sm_arena_region(s->s_arena, "witness", bytes, W_VERSION, &mem);
    if (e == SM_OK) {
        e = w_block_format(mem, bytes, &g, "bench:none");
    }
    if (e == SM_OK) {
        e = w_block_open(mem, bytes, false, &s->s_block);
    }
    if (e == SM_OK && (e = w_hooking_init(&s->s_hooking, s->s_block)) == SM_OK) {
        w_hooking_table(&s->s_hooking, &hooks);
        sm_arena_set_hooks(s->s_arena, &hooks);
    }
    if (e != SM_OK) {
        ours_refuse("witness", e);
    }
    return e == SM_OK;
}

static struct seat mine;

static bool pair_batch(void *ctx, uint64_t n) {
    struct sm_userlock *l = ctx;
    for (uint64_t i = 0; i < n; i++) {
        if (sm_unlikely(sm_userlock_acquire(l, SM_EXCLUSIVE, -1) != SM_OK)) {
            return false;
        }
        bench_use(l);
        if (sm_unlikely(sm_userlock_release(l, SM_EXCLUSIVE) != SM_OK)) {
            return false;
        }
    }
    return true;
}

static bool nested_batch(void *ctx, uint64_t n) {
    const struct seat *s = ctx;
    struct sm_userlock *a = s->s_lock[0], *b = s->s_lock[1];
    for (uint64_t i = 0; i < n; i++) {
        if (sm_unlikely(sm_userlock_acquire(a, SM_EXCLUSIVE, -1) != SM_OK ||
                        sm_userlock_acquire(b, SM_EXCLUSIVE, -1) != SM_OK)) {
            return false;
        }
        bench_use(a);
        if (sm_unlikely(sm_userlock_release(b, SM_EXCLUSIVE) != SM_OK ||
                        sm_userlock_release(a, SM_EXCLUSIVE) != SM_OK)) {
            return false;
        }
    }
    return true;
}

static double run_pair(void) {
    return bench_best(pair_batch, mine.s_lock[0]);
}

static double run_off(void) {
    return bench_best(nested_batch, &mine);
}

static double run_on(void) {
    double ns = seat_watch(&mine) ? bench_best(nested_batch, &mine) : NAN;
    seat_leave(&mine);
    return ns;
}

/* What watching adds to the loop. */
static double run_cost(void) {
    double off = run_off();
    return run_on() - off;
}

/* ---------------------------------------------------------------- two processes, each with locks of its own */

static bool watching;
static struct seat other;

static bool other_open(void *ctx) {
    (void)ctx;
    enum sm_err e = sm_arena_attach(object, true, NULL, "second", &other.s_arena);
    if (e != SM_OK) {
        ours_refuse("attach", e);
        return false;
    }
    return seat_sit(&other, "third", "fourth") && (!watching || seat_watch(&other));
}

static bool other_batch(void *ctx, uint64_t n) {
    (void)ctx;
    return nested_batch(&other, n);
}

static bool mine_batch(void *ctx, uint64_t n) {
    (void)ctx;
    return nested_batch(&mine, n);
}

static void other_close(void *ctx) {
    (void)ctx;
    if (watching) {
        seat_leave(&other);
    }
    sm_arena_detach(other.s_arena);
    sm_arena_close(other.s_arena);
}

static const struct duo_work apart = {other_open, mine_batch, other_batch, other_close};

static double run_apart_off(void) {
    watching = false;
    return duo_scaling(&apart, NULL, NESTED_OPS, WINDOW_NS);
}

static double run_apart_on(void) {
    watching = true;
    double x = seat_watch(&mine) ? duo_scaling(&apart, NULL, NESTED_OPS, WINDOW_NS) : NAN;
    seat_leave(&mine);
    return x;
}

/* ---------------------------------------------------------------- many classes */

struct many {
    struct w_block *m_block;
    uint32_t m_count; /* of classes; a pair is a class and the one after it */
    uint32_t m_pairs; /* of which the loop takes so many in turn */
};

/* A lock taken with another one held, and given back. */
static bool many_batch(void *ctx, uint64_t n) {
    const struct many *m = ctx;
    for (uint64_t i = 0; i < n;) {
        for (uint32_t c = 0; c < m->m_pairs && i < n; c++, i++) {
            w_acquired(m->m_block, c, c, W_EXCLUSIVE, 0, (void *)pair_batch);
            w_acquired(m->m_block, c + 1, c + 1, W_EXCLUSIVE, 0, (void *)nested_batch);
            w_release(m->m_block, c + 1, c + 1, false, NULL);
            w_release(m->m_block, c, c, false, NULL);
        }
    }
    return true;
}

static double many_run(uint32_t classes, bool all) {
    struct many m = {.m_count = classes, .m_pairs = all ? classes - 1 : 1};
    uint64_t bytes = w_block_bytes(NULL);
    double ns = NAN;
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) {
        return bench_refuse("no memory for a block of %llu bytes", (unsigned long long)bytes);
    }
    enum sm_err e = w_block_format(mem, bytes, NULL, "bench:none");
    if (e == SM_OK && (e = w_block_open(mem, bytes, false, &m.m_block)) == SM_OK) {
        for (uint32_t i = 0; i < classes && e == SM_OK; i++) {
            char name[W_NAME_BYTES];
            uint32_t id;
            snprintf(name, sizeof name, "class %u", i);
            e = w_class_get(m.m_block, name, "mutex", 0, 0, &id);
            e = e == SM_OK && id != i ? SM_CORRUPT : e;
        }
        struct many learn = {m.m_block, classes, classes - 1};
        ns = e == SM_OK && many_batch(&learn, classes - 1) ? bench_best(many_batch, &m) : NAN;
        w_block_close(m.m_block);
    }
    munmap(mem, bytes);
    return e == SM_OK ? ns : ours_refuse("block or class", e);
}

static double run_one_10(void) {
    return many_run(10, false);
}
static double run_one_100(void) {
    return many_run(100, false);
}
static double run_one_1000(void) {
    return many_run(1000, false);
}
static double run_all_10(void) {
    return many_run(10, true);
}
static double run_all_100(void) {
    return many_run(100, true);
}
static double run_all_1000(void) {
    return many_run(1000, true);
}

static const struct bench_case cases[] = {
    {"pair", run_pair},           {"nested_off", run_off},    {"nested_on", run_on},    {"nested_cost", run_cost},
    {"apart_off", run_apart_off}, {"apart_on", run_apart_on}, {"one_10", run_one_10},   {"one_100", run_one_100},
    {"one_1000", run_one_1000},   {"all_10", run_all_10},     {"all_100", run_all_100}, {"all_1000", run_all_1000}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    object = ours_object();
    enum sm_err e = ours_arena(object, 64u << 20, &mine.s_arena);
    if (e != SM_OK || !seat_sit(&mine, "first", "second")) {
        fprintf(stderr, "arena or locks: %s (%s) %s\n", sm_err_name(e), sm_err_text(e), bench_reason);
        return 1;
    }
    int status = BENCH_SERVE(cases);
    sm_arena_detach(mine.s_arena);
    sm_arena_close(mine.s_arena);
    close(object);
    return status;
}
