/* sleep.c - sleeping with locks held. Takes the slow lock for the report. Source: FreeBSD witness_warn(9).
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "class.h"
#include "report.h"
#include "stack.h"
#include "thread.h"

static bool awake(const struct w_block *b, const struct w_held_shm *d) {
    return !(w_class_flags(b, d->d_class) & W_SLEEPABLE);
}

static __attribute__((noinline)) void tell(struct w_block *b, const struct w_thread_shm *t, const char *what,
                                           const char *zone, bool forced, void *address) {
    struct w_report_shm r = {.r_kind = W_R_SLEEP, .r_flags = forced ? W_REPORT_FORCED : 0};
    if (w_local.l_busy != 0) {
        return;
    }
    w_local.l_busy++;
    snprintf(r.r_what, sizeof r.r_what, "%s", what);
    snprintf(r.r_zone, sizeof r.r_zone, "%.*s", (int)sizeof r.r_zone - 1, zone ? zone : "");
    for (uint32_t i = 0, n = w_held_count(t); i < n && r.r_helds < W_REPORT_HELD; i++) {
        const struct w_held_shm *d = &t->t_held[i];
        if (awake(b, d)) {
            r.r_held[r.r_helds++] = (struct w_report_held){.o_class = d->d_class,
                                                           .o_mode = d->d_mode,
                                                           .o_stack = d->d_stack,
                                                           .o_depth = d->d_depth,
                                                           .o_instance = d->d_instance};
            r.r_class[0] = r.r_class[1] = d->d_class;
            r.r_stack[0] = d->d_stack;
        }
    }
    r.r_stack[1] = w_stack_here(b, address);
    if (!w_report_again(b, &r)) {
        w_report_add(b, &r);
    }
    w_local.l_busy--;
}

uint32_t w_may_sleep(struct w_block *b, const char *what, const char *zone, bool forced, void *address) {
    struct w_thread_shm *t = w_thread_self(b);
    uint32_t count = 0, n = t ? w_held_count(t) : 0;
    if (n == 0 || sm_load_rlx(&b->b_header->h_watch) < 0) {
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        count += awake(b, &t->t_held[i]);
    }
    if (count != 0) {
        tell(b, t, what, zone, forced, address);
    }
    return count;
}
