/* ours_fault.c - what fault points cost: not armed, armed with nothing set, armed with a program that does not happen, and
 * a pair through the calls, whose slow paths hold the points. Compiled a second time with SM_NO_PROBES, which leaves the
 * points out. Owns nothing beyond the process. */
#include "ours.h"

#include "faultinj/core/faultinj.h"

static struct sm_arena *arena;
static struct sm_zone *zone;
static struct fi_block block;
static struct fi_hooking hooking = {.k_block = &block};

/* The points of a loop body are independent, as those of a program are. */
static bool point_batch(void *ctx, uint64_t n) {
    struct sm_arena *a = ctx;
    for (uint64_t i = 0; i < n; i++) {
        bench_use(a);
        if (sm_unlikely(sm_fault(a, SM_FP_TAG, "bench", 64, SM_M_NOWAIT) != SM_OK)) {
            return false;
        }
    }
    return true;
}

static bool call_batch(void *ctx, uint64_t n) {
    struct sm_zone *z = ctx;
    for (uint64_t i = 0; i < n; i++) {
        void *p;
        if (sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &p) != SM_OK) {
            return false;
        }
        bench_use(p);
        if (sm_zone_free(z, p, NULL) != SM_OK) {
            return false;
        }
    }
    return true;
}

static bool inline_batch(void *ctx, uint64_t n) {
    struct sm_zone *z = ctx;
    for (uint64_t i = 0; i < n; i++) {
        void *p = ours_alloc(z);
        bench_use(p);
        if (sm_unlikely(p == NULL) || sm_unlikely(!ours_free(z, p))) {
            return false;
        }
    }
    return true;
}

static double armed(bool (*batch)(void *ctx, uint64_t n), void *ctx, const struct fi_program *program) {
    struct sm_hooks hooks;
    fi_hooking_table(&hooking, &hooks);
    enum sm_err e = fi_program_set(&block, SM_FP_TAG, program, program != NULL);
    if (e != SM_OK) {
        return ours_refuse("the program", e);
    }
    sm_arena_set_hooks(arena, &hooks);
    double ns = bench_best(batch, ctx);
    sm_arena_clear_hooks(arena, FI_HOOKS);
    return ns;
}

static double run_off(void) {
    return bench_best(point_batch, arena);
}
static double run_armed(void) {
    return armed(point_batch, arena, NULL);
}
static double run_set(void) {
    struct fi_program never = {.g_terms = 1};
    never.g_term[0] = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_NTH, .t_nth = FI_LOW};
    return armed(point_batch, arena, &never);
}
static double run_filtered(void) {
    struct fi_program others = {.g_terms = 1};
    others.g_term[0] = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_SUBJECT, .t_subject = "another*"};
    return armed(point_batch, arena, &others);
}
static double run_call(void) {
    return bench_best(call_batch, zone);
}
static double run_inline(void) {
    return bench_best(inline_batch, zone);
}
static double run_armed_call(void) {
    return armed(call_batch, zone, NULL);
}

static const struct bench_case cases[] = {{"off", run_off},
                                          {"armed", run_armed},
                                          {"set", run_set},
                                          {"filtered", run_filtered},
                                          {"call", run_call},
                                          {"inline", run_inline},
                                          {"armed_call", run_armed_call}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    int fd = ours_object();
    enum sm_err e = ours_arena(fd, 256u << 20, &arena);
    if (e == SM_OK) {
        e = ours_zone(arena, "items", BENCH_ITEM_BYTES, 4096, &zone);
    }
    uint64_t bytes = fi_block_bytes(NULL);
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (e == SM_OK) {
        e = mem == MAP_FAILED ? SM_NO_MEMORY : fi_block_format(mem, bytes, NULL, "");
    }
    if (e == SM_OK) {
        e = fi_block_open(mem, bytes, &block);
    }
    if (e != SM_OK) {
        fprintf(stderr, "arena, zone or block: %s (%s)\n", sm_err_name(e), sm_err_text(e));
        return 1;
    }
    int status = BENCH_SERVE(cases);
    sm_arena_detach(arena);
    sm_arena_close(arena);
    close(fd);
    return status;
}
