/* event.h - the arena's log: one line for what a person may want to know later. Takes no lock and may be called under
 * any; must not know what it is told about.
 */
#ifndef SM_EVENT_H
#define SM_EVENT_H

#include "arena.h"

void sm_event_log(struct sm_arena *a, enum sm_event_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The log, oldest first. after: number of the last event seen. SM_EMPTY at the end. */
enum sm_err sm_event_next(struct sm_arena *a, uint64_t after, struct sm_event_shm *out);

#endif
