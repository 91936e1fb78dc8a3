/* sweep.h - the n-th reaching of a selected point fails, whichever it is. Owns the w_ fields of the header. Takes no lock. */
#ifndef FI_SWEEP_H
#define FI_SWEEP_H

#include "block.h"

/* Begins a sweep's trial with its counters at zero. selected: a bit for each point, NULL: all. For when nobody reaches a
 * point; a setter that is killed in here leaves FI_OFF. SM_INVALID: n or n2 is 0 where the kind counts to it. */
enum sm_err fi_sweep_set(struct fi_block *b, enum fi_sweep kind, uint64_t n, uint64_t n2, const uint64_t *selected);
/* A fault point was reached: true, it has to fail; in a sweep of the kind FI_DIE, to kill its process. *sequence: the
 * how-manieth of the selected ones. */
bool fi_sweep_fault(struct fi_block *b, uint32_t point, uint64_t *sequence);
/* A crash point was reached: true, kill. */
bool fi_sweep_crash(struct fi_block *b, uint64_t *sequence);

#endif
