/* reap.h - putting the arena right after a process died: finish or undo its operation, return what it held, rebuild what
 * is derived from the truth. Stops the world through quiesce. Idempotent: a reaper that dies is reaped in its turn.
 */
#ifndef SM_REAP_H
#define SM_REAP_H

#include "zone.h"

struct sm_reap_report {
    uint32_t rr_cpus;      /* dead CPUs found */
    uint64_t rr_freed;     /* items returned to their slabs */
    uint64_t rr_kept;      /* items left for adoption by their zone's policy */
    uint64_t rr_undone;    /* operations finished or undone */
    uint64_t rr_requeued;  /* items that recovery gave their place in a queue again */
    int64_t rr_stopped_ns; /* how long the world stood still */
};

/* Reaps every dead CPU; SM_OK with rr_cpus 0 when there is none. Op word clear, no lock held. report may be NULL.
 * An attachment without a slot takes over that of a dead CPU. */
enum sm_err sm_reap(struct sm_arena *a, struct sm_reap_report *report);
/* The same with the quiesce lock held: what follows a reaper that died at work. */
enum sm_err sm_reap_stopped(struct sm_arena *a);

#endif
