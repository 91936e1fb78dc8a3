/* report.h - what was found, written down where every process and a post-mortem can read it. Takes the slow lock; then
 * tells the language on top, with no lock held. Must not judge.
 */
#ifndef W_REPORT_H
#define W_REPORT_H

#include "block.h"

/* Fills time, who and thread name, publishes, tells. No lock held. Full: counted as lost. */
void w_report_add(struct w_block *b, struct w_report_shm *r);
/* Tells of what was written where nobody could be told. Nothing of the caller's is held. */
void w_report_flush(struct w_block *b);
/* The same finding again, a sleep or misuse of that place: counts it. False: it is new. */
bool w_report_again(struct w_block *b, const struct w_report_shm *r);
void w_report_misuse(struct w_block *b, const char *what, uint32_t class_id, uint64_t instance, uint32_t mode,
                     void *address, const char *detail);
/* Of another thread, or of one that is gone. */
void w_report_misuse_of(struct w_block *b, const char *what, uint32_t class_id, uint64_t instance, uint32_t mode,
                        uint32_t stack, const char thread[W_THREAD_BYTES], uint64_t who);

#endif
