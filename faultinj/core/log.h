/* log.h - the ring of what was injected. Takes no lock; an entry that its writer did not finish is left out. */
#ifndef FI_LOG_H
#define FI_LOG_H

#include "block.h"

struct fi_entry { /* a log entry as a reader sees it */
    uint64_t e_number; /* from 0, of the whole block */
    struct fi_log_shm e_row;
};

void fi_log_add(struct fi_block *b, const struct fi_log_shm *row);
/* Whole entries from number `from` on, oldest first; returns how many were stored. */
uint32_t fi_log_read(struct fi_block *b, uint64_t from, struct fi_entry *out, uint32_t most);

#endif
