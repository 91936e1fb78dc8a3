/* log.c - a ring of entries with stamps. A writer takes a number, clears the entry's stamp, fills it and stores the stamp.
 * Killed in between, it leaves an entry without a stamp, which readers leave out (F4). A writer that is overtaken by a whole
 * round of the ring may spoil one newer entry; the stamp that it stores then is its own, so no entry is told as another.
 */
#define _GNU_SOURCE
#include "log.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void fi_log_add(struct fi_block *b, const struct fi_log_shm *row) {
    uint64_t number = sm_add_rlx(&b->b_header->h_log_next, 1);
    struct fi_log_shm *l = &b->b_log[number % b->b_max_log];
    struct fi_log_shm whole = *row;
    size_t skip = sizeof l->l_stamp;
    sm_store_seq(&l->l_stamp, 0);
    fi_crash_point(FI_STEP_LOG_BEGUN);
    whole.l_pid = (uint32_t)getpid();
    whole.l_tid = (uint32_t)syscall(SYS_gettid);
    whole.l_time_ns = fi_wall_ns();
    fi_words_store(&l->l_sequence, &whole.l_sequence, sizeof whole - skip);
    fi_crash_point(FI_STEP_LOG_WRITTEN);
    sm_store_rel(&l->l_stamp, number + 1); /* pairs with the load in fi_log_read */
}

uint32_t fi_log_read(struct fi_block *b, uint64_t from, struct fi_entry *out, uint32_t most) {
    uint64_t end = sm_load_acq(&b->b_header->h_log_next);
    uint64_t first = end > b->b_max_log ? end - b->b_max_log : 0;
    uint32_t n = 0;
    for (uint64_t i = from > first ? from : first; i < end && n < most; i++) {
        struct fi_log_shm *l = &b->b_log[i % b->b_max_log];
        if (sm_load_acq(&l->l_stamp) != i + 1) {
            continue;
        }
        fi_words_load(&out[n].e_row, l, sizeof *l);
        if (sm_load_rlx(&l->l_stamp) == i + 1) {
            out[n].e_row.l_subject[FI_SUBJECT_BYTES - 1] = 0;
            out[n++].e_number = i;
        }
    }
    return n;
}
