/* reach.h - a point was reached: whether something happens here, and what. Takes no lock, allocates nothing, never waits.
 */
#ifndef FI_REACH_H
#define FI_REACH_H

#include "block.h"

struct fi_request { /* what is known where the point is */
    const char *q_subject; /* zone, queue or policy; NULL: none */
    size_t q_subject_bytes; /* 0: a name of the core, which ends at its NUL or at FI_NAME_BYTES */
    uint64_t q_bytes;
    int q_flags;
    uint32_t q_step; /* of a crash point */
    uint32_t (*q_cpu)(const void *arena); /* CPU slot of the attachment; NULL: none */
    const void *q_arena;
    bool (*q_stop)(void); /* asked now and then while a thread waits here: true, it waits no more. NULL: never */
};

struct fi_verdict { /* what to do */
    uint32_t v_action; /* enum fi_action */
    uint32_t v_code; /* enum fi_code of a return */
    int64_t v_number;
    uint32_t v_point;
    uint32_t v_target, v_template, v_slot, v_tag; /* of an arm */
    const struct fi_request *v_request;
    char v_text[FI_WORDS_BYTES];
};

/* Counts the reaching. False: the point passes. True: *v says what happens here; it is counted and logged already. */
bool fi_reach(struct fi_block *b, uint32_t point, const struct fi_request *q, struct fi_verdict *v);
/* The same for a crash point: "crash.step" and the kills of a sweep. */
bool fi_reach_crash(struct fi_block *b, const struct fi_request *q, struct fi_verdict *v);
/* A point was reached and fails, by debug.malloc.failure_rate: counted and logged, in no sweep. */
void fi_reach_forced(struct fi_block *b, uint32_t point, const struct fi_request *q);

#endif
