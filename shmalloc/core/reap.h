/* reap.h - putting the arena right after a process died: finish or undo its operation, return what it held, rebuild what
 * is derived from the truth. Stops the world through quiesce. Idempotent: a reaper that dies is reaped in its turn.
 */
#ifndef SM_REAP_H
#define SM_REAP_H

#include "zone.h"

#define SM_REAP_CPUS 16 /* deaths and zones that a report names; the totals count all */
#define SM_REAP_ZONES 32

/* What became of the operation that a dead CPU was in. The numbers are written into the log: never reused. */
enum sm_reap_did {
    SM_REAP_NOTHING = 0, /* it was between two operations */
    SM_REAP_REBUILT = 1, /* finished: what it was changing was built again from the truth */
    SM_REAP_FREED = 2, /* undone: no user had the item yet, or any more; it is free */
    SM_REAP_QUEUED = 3, /* undone: the item that it was taking is back in its queue, in its place */
};

struct sm_reap_cpu {
    uint32_t rc_cpu, rc_pid;
    enum sm_reap_did rc_did;
    char rc_name[SM_NAME_BYTES];
    char rc_on[SM_NAME_BYTES]; /* the zone, queue or lock that the op word names; empty when it names none */
    uint64_t rc_op, rc_op_arg; /* what it said it was about to do; 0: between two operations */
    int64_t rc_attached_ns; /* CLOCK_REALTIME */
};

struct sm_reap_zone {
    char rz_name[SM_NAME_BYTES];
    uint64_t rz_freed;
};

struct sm_reap_report {
    uint32_t rr_cpus; /* dead CPUs found */
    uint32_t rr_zones; /* zones named below */
    uint32_t rr_by_cpu, rr_by_pid; /* who did it */
    uint64_t rr_freed; /* items that the dead held, freed */
    uint64_t rr_uncached; /* items that lay in their buckets, or in full ones of a zone, back in their slabs */
    uint64_t rr_kept; /* items left for adoption by their zone's policy */
    uint64_t rr_undone; /* operations finished or undone */
    uint64_t rr_requeued; /* items that recovery gave their place in a queue again */
    int64_t rr_at_ns; /* when the deaths were found, CLOCK_REALTIME */
    int64_t rr_stopped_ns; /* how long the world stood still */
    int64_t rr_total_ns; /* with the dtors and finis that were due */
    struct sm_reap_cpu rr_cpu[SM_REAP_CPUS];
    struct sm_reap_zone rr_zone[SM_REAP_ZONES];
};

/* Reaps every dead CPU; SM_OK with rr_cpus 0 when there is none. Op word clear, no lock held. report may be NULL.
 * An attachment without a slot takes over that of a dead CPU. */
enum sm_err sm_reap(struct sm_arena *a, struct sm_reap_report *report);
/* The name of an operation (enum sm_op) for people. */
const char *sm_reap_op_name(uint64_t opword);
/* The same with the quiesce lock held, and released on return: what follows a reaper that died at work. */
enum sm_err sm_reap_stopped(struct sm_arena *a);

#endif
