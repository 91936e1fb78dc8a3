/* check.h - one function per numbered invariant of layout.h. Reads only, never aborts, bound-checks everything it
 * follows. On a live arena a writable attachment stops the world for it; on a copy or read-only it just reads.
 */
#ifndef SM_CHECK_H
#define SM_CHECK_H

#include "zone.h"

#define SM_INVARIANTS 17

struct sm_finding {
    uint32_t f_invariant; /* 1 .. SM_INVARIANTS */
    char f_detail[232];
};
typedef void (*sm_finding_fn)(void *ctx, const struct sm_finding *f);

struct sm_check_result {
    uint64_t cr_findings;
    uint64_t cr_items, cr_slabs, cr_pages, cr_buckets; /* looked at */
    uint32_t cr_live_cpus, cr_dead_cpus;
    int64_t cr_world_stopped_ns;
};

/* Every invariant; fn is called for each finding (at most `most` of each invariant). */
enum sm_err sm_check(struct sm_arena *a, uint32_t most, sm_finding_fn fn, void *ctx, struct sm_check_result *out);
const char *sm_check_title(uint32_t invariant); /* one line of layout.h's list */

#endif
