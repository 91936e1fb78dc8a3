/* check.c - the driver of the invariant checks: stops the world, runs sm_check_i1 .. i17, counts findings.
 * Owns no state. Takes the quiesce lock on a live, writable arena and nothing otherwise. Never writes to the arena
 * beyond what stopping the other CPUs needs. Source: layout.h's list of invariants.
 */
#include "check_ctx.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "quiesce.h"

static const char *const titles[SM_INVARIANTS] = {
    "header: checksum, versions and every region in bounds, page-aligned, disjoint, inside the object",
    "page directory: a slab's pages carry the same keg and block and index 0..n-1; entries past the frontier are 0",
    "state word: legal kind; a live zone of the slab's keg unless FREE; a live CPU where the kind names one",
    "slab: header free count equals its FREE words, and the slab is on exactly the list that the count implies",
    "keg: slab, page and free counters equal the recount; slabs do not exceed the limit unless it was lowered",
    "bucket entry: names an item CACHED for its zone (in a cache: under its CPU), and that item's own state word",
    "an item is in exactly one of slab, bucket, user, queue, ticket, mbuf or sockbuf",
    "a bucket is in exactly one of: a cache, a zone's full list, the free list",
    "free runs: each is in the bin of its length once, ends agree, neighbours of a kind are merged, totals match",
    "state blocks: no two slabs share one; each lies in a meta page of its keg; the rest are on the free list",
    "queue: an occupied place names an item QUEUED on that queue; each QUEUED item has exactly one place",
    "counters: allocs - frees of a zone equal its items that are neither FREE nor CACHED",
    "CPU: a free slot holds no bucket, no item and a zero op word",
    "sleepers: a keg's waiter count equals the sum over its CPUs' caches",
    "malloc type: in-use and byte counters equal the recount from the items' tags",
    "lock: its word names a CPU or counts what its hold cells add up to; waiter counts equal the sum over the cells",
    "site: its text ends and has its hash; a trace record names no site, the full mark, or a finished site",
    "ATTACHED: each is reached, once unless it is storage, whose counter equals its mbufs; labels made = gone + alive",
    "sockbuf: byte and storage counts and both tails are those of its chain, which ends",
};

const char *sm_check_title(uint32_t invariant) {
    return invariant >= 1 && invariant <= SM_INVARIANTS ? titles[invariant - 1] : "no such invariant";
}

void sm_check_found(struct sm_check *c, uint32_t invariant, const char *fmt, ...) {
    c->c_result->cr_findings++;
    if (c->c_found[invariant]++ >= c->c_most || c->c_fn == NULL) {
        return;
    }
    struct sm_finding f = {.f_invariant = invariant};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f.f_detail, sizeof f.f_detail, fmt, ap);
    va_end(ap);
    if (c->c_unfinished_cpu != SM_CPU_NONE) {
        char note[64];
        int n = c->c_arena->a_live
                    ? snprintf(note, sizeof note, " (cpu %u is dead: run recovery)", c->c_unfinished_cpu)
                    : snprintf(note, sizeof note, " (cpu %u was inside an operation)", c->c_unfinished_cpu);
        size_t end = strlen(f.f_detail), room = sizeof f.f_detail - 1 - (size_t)n;
        memcpy(f.f_detail + (end < room ? end : room), note, (size_t)n + 1);
    }
    c->c_fn(c->c_ctx, &f);
}

/* Counts live and dead CPUs. With the world stopped only a dead CPU can have an open operation. */
static void look_at_cpus(struct sm_check *c) {
    for (uint32_t i = 0; i < c->c_header.h_max_cpus; i++) {
        if (!sm_check_cpu_taken(c, i)) {
            continue;
        }
        bool alive = c->c_arena->a_live && sm_cpu_alive(c->c_arena, i);
        if (alive) {
            c->c_result->cr_live_cpus++;
        } else {
            c->c_result->cr_dead_cpus++;
            if (sm_load_acq(&c->c_cpus[i].cpu_op) != 0 && c->c_unfinished_cpu == SM_CPU_NONE) {
                c->c_unfinished_cpu = i;
            }
        }
    }
}

static enum sm_err look(struct sm_check *c) {
    static enum sm_err (*const later[])(struct sm_check *) = {
        sm_check_i2,  sm_check_i3,  sm_check_i4,  sm_check_i5,  sm_check_i6,  sm_check_i7,
        sm_check_i8,  sm_check_i9,  sm_check_i10, sm_check_i11, sm_check_i12, sm_check_i13,
        sm_check_i14, sm_check_i15, sm_check_i16, sm_check_i17, sm_check_i18, sm_check_i19,
    };
    enum sm_err e = sm_check_i1(c);
    if (e != SM_OK || !c->c_usable) {
        return e;
    }
    look_at_cpus(c);
    e = sm_check_survey(c);
    for (size_t i = 0; e == SM_OK && i < sizeof later / sizeof later[0]; i++) {
        e = later[i](c);
    }
    sm_check_survey_end(c);
    return e;
}

enum sm_err sm_check(struct sm_arena *a, uint32_t most, sm_finding_fn fn, void *ctx, struct sm_check_result *out) {
    struct sm_check c = {.c_arena = a, .c_fn = fn, .c_ctx = ctx, .c_most = most, .c_result = out};
    bool stop = a->a_writable && a->a_live;
    int64_t start = 0;
    enum sm_err e;

    memset(out, 0, sizeof *out);
    c.c_unfinished_cpu = SM_CPU_NONE;
    if (stop) {
        e = sm_quiesce_begin(a);
        if (e != SM_OK) {
            return e;
        }
        start = sm_os_now_ns();
        e = sm_quiesce_all(a);
        if (e != SM_OK) {
            sm_quiesce_end(a);
            return e;
        }
    }
    e = look(&c);
    if (stop) {
        sm_quiesce_end(a);
        out->cr_world_stopped_ns = sm_os_now_ns() - start;
    }
    return e;
}
