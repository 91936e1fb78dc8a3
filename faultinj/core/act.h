/* act.h - doing what a verdict says, as far as C can do it. May sleep, wait or end the process; takes no lock. */
#ifndef FI_ACT_H
#define FI_ACT_H

#include "reach.h"

/* panic, kill, print, sleep, delay, pause, yield, break and arm. return, raise and callback are the caller's. */
void fi_act(struct fi_block *b, const struct fi_verdict *v);
/* Whether fi_act may take long: sleep, delay, pause. */
static inline bool fi_waits(const struct fi_verdict *v) {
    return v->v_action == FI_A_SLEEP || v->v_action == FI_A_DELAY || v->v_action == FI_A_PAUSE;
}

const char *fi_action_name(uint32_t action); /* "?": there is no such action */

struct fi_paused {
    uint32_t z_pid, z_tid, z_point;
    int64_t z_since_ns; /* CLOCK_REALTIME */
};
/* Threads paused now, those of dead processes left out. */
uint32_t fi_paused_list(struct fi_block *b, struct fi_paused *out, uint32_t most);
/* Lets those paused at this point go on; FI_NONE: at every point. */
void fi_resume(struct fi_block *b, uint32_t point);

#endif
