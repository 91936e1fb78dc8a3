/* event.c - the arena's log: a ring of fixed lines, oldest overwritten. Takes no lock and may be called under any,
 * inside or outside an operation.
 *
 * A line's number is claimed in ctl_event_seq; ev_seq carries it, with SM_EV_WRITING until the text is there. Crash
 * windows: number claimed, line untouched or still marked: a line that no reader returns, overwritten a lap later. A
 * writer that is overtaken by a whole lap while it writes may mix its text into the newer line; the bounds still hold.
 * Readers copy and compare ev_seq before and after (a sequence lock), so they wait for nobody.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "event.h"

#define TEXT_WORDS (sizeof(((struct sm_event_shm *)0)->ev_text) / sizeof(uint64_t))
_Static_assert(offsetof(struct sm_event_shm, ev_text) % sizeof(uint64_t) == 0, "the text is copied by words");

void sm_event_log(struct sm_arena *a, enum sm_event_kind kind, const char *fmt, ...) {
    union {
        char text[TEXT_WORDS * sizeof(uint64_t)];
        uint64_t words[TEXT_WORDS];
    } line = {.words = {0}};
    va_list ap;
    if (!a->a_writable || a->a_header->h_max_events == 0) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(line.text, sizeof line.text, fmt, ap);
    va_end(ap);

    uint64_t seq = sm_add_acqrel(&a->a_ctl->ctl_event_seq, 1) + 1;
    struct sm_event_shm *e = &a->a_events[(seq - 1) % a->a_header->h_max_events];
    uint64_t old = sm_load_rlx(&e->ev_seq);
    do {
        if ((old & ~SM_EV_WRITING) >= seq) {
            return; /* overtaken by a lap before the first byte: the newer line stays */
        }
    } while (!sm_cas(&e->ev_seq, &old, seq | SM_EV_WRITING));
    /* Pairs with the reader's fence: whoever sees a word stored below also sees the mark above. */
    sm_full_fence();
    sm_store_rlx(&e->ev_time_ns, sm_os_wall_ns());
    sm_store_rlx(&e->ev_kind, (uint32_t)kind);
    sm_store_rlx(&e->ev_cpu, a->a_cpu_id);
    for (size_t i = 0; i < TEXT_WORDS; i++) {
        sm_store_rlx((uint64_t *)(void *)e->ev_text + i, line.words[i]);
    }
    old = seq | SM_EV_WRITING;
    (void)sm_cas(&e->ev_seq, &old, seq); /* releases the line; fails when overtaken */
}

/* Copies line seq if it is whole. */
static bool event_copy(const struct sm_arena *a, uint64_t seq, struct sm_event_shm *out) {
    const struct sm_event_shm *e = &a->a_events[(seq - 1) % a->a_header->h_max_events];
    uint64_t words[TEXT_WORDS];
    if (sm_load_acq(&e->ev_seq) != seq) {
        return false;
    }
    out->ev_seq = seq;
    out->ev_time_ns = sm_load_rlx(&e->ev_time_ns);
    out->ev_kind = sm_load_rlx(&e->ev_kind);
    out->ev_cpu = sm_load_rlx(&e->ev_cpu);
    for (size_t i = 0; i < TEXT_WORDS; i++) {
        words[i] = sm_load_rlx((const uint64_t *)(const void *)e->ev_text + i);
    }
    memcpy(out->ev_text, words, sizeof words);
    out->ev_text[sizeof out->ev_text - 1] = 0;
    sm_full_fence(); /* the copy before the second look; pairs with the writer's */
    return sm_load_rlx(&e->ev_seq) == seq;
}

/* A line still being written is passed over once a later one is whole. */
enum sm_err sm_event_next(struct sm_arena *a, uint64_t after, struct sm_event_shm *out) {
    uint64_t newest = sm_load_acq(&a->a_ctl->ctl_event_seq), lines = a->a_header->h_max_events;
    if (lines == 0 || after >= newest) {
        return SM_EMPTY;
    }
    uint64_t seq = newest > lines && after < newest - lines ? newest - lines + 1 : after + 1;
    for (; seq <= newest; seq++) {
        if (event_copy(a, seq, out)) {
            return SM_OK;
        }
    }
    return SM_EMPTY;
}
