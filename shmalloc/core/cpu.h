/* cpu.h - CPU slots: claim, liveness, release. Takes the quiesce lock. Liveness is an open-file-description lock on
 * byte `slot`: the kernel drops it at death. Must not touch buckets (zone.c flushes them before a release).
 */
#ifndef SM_CPU_H
#define SM_CPU_H

#include "arena.h"

enum sm_err
sm_cpu_claim(struct sm_arena *a); /* SM_NO_CPU when every slot is live; SM_DEAD_PEER if only dead ones are left */
/* Quiesce lock held, the lock byte of a_cpu_id already ours: makes that slot this attachment's. */
enum sm_err sm_cpu_take_slot(struct sm_arena *a);
enum sm_err sm_cpu_release(struct sm_arena *a); /* quiesce lock held; the slot owns nothing any more */
/* Is the owner of a slot in state LIVE or LEAVING still running? Own slot: always true. */
bool sm_cpu_alive(const struct sm_arena *a, uint32_t cpu);
uint32_t sm_cpu_count_dead(const struct sm_arena *a);

/* The dead wake nobody: whoever sleeps until somebody else acts looks for them so often. */
#ifndef SM_DEATH_LOOK_NS /* the crash proof steps through a sleep far slower than any clock allows for */
#define SM_DEATH_LOOK_NS 2000000ll
#endif

#endif
