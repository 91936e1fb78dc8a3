/* report.c - the table of reports. Takes the slow lock. Crash windows: filled, then published by the count. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "class.h"
#include "stack.h"
#include "thread.h"

static uint32_t report_count(const struct w_block *b) {
    uint32_t n = sm_load_acq(&b->b_header->h_reports);
    return n < b->b_max_reports ? n : b->b_max_reports;
}

bool w_report_again(struct w_block *b, const struct w_report_shm *r) {
    for (uint32_t i = 0, n = report_count(b); i < n; i++) {
        struct w_report_shm *have = &b->b_reports[i];
        if (have->r_kind == r->r_kind && have->r_class[0] == r->r_class[0] && have->r_class[1] == r->r_class[1] &&
            have->r_stack[1] == r->r_stack[1] && have->r_flags == r->r_flags &&
            strncmp(have->r_what, r->r_what, sizeof r->r_what) == 0 &&
            strncmp(have->r_zone, r->r_zone, sizeof r->r_zone) == 0 &&
            strncmp(have->r_detail, r->r_detail, sizeof r->r_detail) == 0) {
            sm_store_rlx(&have->r_count, sm_load_rlx(&have->r_count) + 1);
            return true;
        }
    }
    return false;
}

void w_report_add(struct w_block *b, struct w_report_shm *r) {
    if (b->b_paused) {
        return;
    }
    r->r_time_ns = w_wall_ns();
    r->r_count = 1;
    if (r->r_who == 0) {
        r->r_who = w_thread_who();
        w_thread_name(r->r_thread);
    }
    if (!w_block_lock(b)) {
        return;
    }
    uint32_t at = report_count(b);
    bool room = at < b->b_max_reports;
    if (room) {
        b->b_reports[at] = *r;
        w_crash_point(W_STEP_REPORT_FILLED);
        sm_store_rel(&b->b_header->h_reports, at + 1); /* pairs with report_count */
    } else {
        (void)sm_add_rlx(&b->b_header->h_lost, 1);
    }
    w_block_unlock(b);
    if (room && b->b_tell != NULL) {
        if (w_local.l_quiet != 0) {
            uint32_t n = sm_add_rlx(&b->b_pendings, 1);
            if (n < W_PENDING) { /* of more at a time the table tells */
                sm_store_rel(&b->b_pending[n], at + 1);
            }
        } else {
            b->b_tell(b, b->b_ctx, at);
        }
    }
}

void w_report_flush(struct w_block *b) {
    if (sm_load_rlx(&b->b_pendings) == 0 || w_local.l_quiet != 0 || w_local.l_busy != 0) {
        return;
    }
    w_local.l_busy++;
    sm_store_rlx(&b->b_pendings, 0);
    for (uint32_t i = 0; i < W_PENDING; i++) {
        uint32_t at = __atomic_exchange_n(&b->b_pending[i], 0, __ATOMIC_ACQ_REL); /* of two threads one tells */
        if (at != 0 && b->b_tell != NULL) {
            b->b_tell(b, b->b_ctx, at - 1);
        }
    }
    w_local.l_busy--;
}

static void misuse(struct w_block *b, struct w_report_shm *r, const char *what, const char *detail) {
    if (sm_load_rlx(&b->b_header->h_watch) < 0) {
        return; /* off for good: what is held is not known any more */
    }
    r->r_kind = W_R_MISUSE;
    snprintf(r->r_what, sizeof r->r_what, "%s", what);
    snprintf(r->r_detail, sizeof r->r_detail, "%s", detail ? detail : "");
    if (!w_report_again(b, r)) {
        w_report_add(b, r);
    }
}

void w_report_misuse(struct w_block *b, const char *what, uint32_t class_id, uint64_t instance, uint32_t mode,
                     void *address, const char *detail) {
    struct w_report_shm r = {
        .r_class = {class_id, class_id}, .r_mode = {mode, mode}, .r_instance = {instance, instance}};
    if (w_local.l_busy != 0) {
        return;
    }
    w_local.l_busy++;
    r.r_stack[1] = w_class_flags(b, class_id) & W_CORE ? W_NONE : w_stack_here(b, address);
    misuse(b, &r, what, detail);
    w_local.l_busy--;
}

void w_report_misuse_of(struct w_block *b, const char *what, uint32_t class_id, uint64_t instance, uint32_t mode,
                        uint32_t stack, const char thread[W_THREAD_BYTES], uint64_t who) {
    char detail[W_TEXT_BYTES];
    struct w_report_shm r = {.r_class = {class_id, class_id},
                             .r_mode = {mode, mode},
                             .r_instance = {instance, instance},
                             .r_stack = {stack, stack},
                             .r_who = who};
    memcpy(r.r_thread, thread, sizeof r.r_thread);
    r.r_thread[W_THREAD_BYTES - 1] = 0;
    snprintf(detail, sizeof detail, "pid %u, thread %u (%s)", (uint32_t)(who >> 32), (uint32_t)who, r.r_thread);
    misuse(b, &r, what, detail);
}
