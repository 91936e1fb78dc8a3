/* program.h - which program a point runs: publication from outside while the point is reached. Owns the slots. Takes no
 * lock. Must not evaluate a program.
 */
#ifndef FI_PROGRAM_H
#define FI_PROGRAM_H

#include "block.h"

/* Whether an encoded program (count of them: the point's own, then the templates of its arms) can be evaluated. */
bool fi_program_valid(const struct fi_block *b, const struct fi_program *programs, uint32_t count);
/* Gives the point this program, or none (count 0). Who is paused at the point goes on. SM_INVALID: not valid;
 * SM_NOT_FOUND: no such point; SM_TABLE_FULL: no slot is free. */
enum sm_err fi_program_set(struct fi_block *b, uint32_t point, const struct fi_program *programs, uint32_t count);
/* The same with the template in a slot: what an arm does. `of` and `of_tag`: slot and tag of the program that the arm is
 * in. SM_GONE: that program was replaced meanwhile. */
enum sm_err fi_program_arm(struct fi_block *b, uint32_t point, uint32_t template_slot, uint32_t of, uint32_t of_tag);

struct fi_setting { /* a point's program as it is now */
    struct fi_program s_program;
    uint64_t s_seen[FI_TERMS], s_fired[FI_TERMS];
    uint32_t s_pid;
    int64_t s_set_ns;
};
/* SM_NOT_FOUND: it has none. SM_STALLED: it changes faster than it can be read. */
enum sm_err fi_program_get(struct fi_block *b, uint32_t point, struct fi_setting *out);
#define FI_FILTERS                                                                                                     \
    (FI_T_PID | FI_T_CPU | FI_T_SUBJECT | FI_T_SIZE | FI_T_FLAGS | FI_T_STACK | FI_T_NOT_STACK | FI_T_STEP)
/* Of a first term: every reaching of the point concerns it, so p_reached counts for its triggers too. */
static inline bool fi_counts_directly(uint32_t flags) {
    return !(flags & (FI_FILTERS | FI_T_SPACE)) && flags & (FI_T_NTH | FI_T_EVERY | FI_T_INTERVAL);
}
/* The slot that p_live names, or NULL. */
static inline struct fi_slot_shm *fi_slot_of(const struct fi_block *b, uint64_t live) {
    uint64_t slot = live & FI_LOW;
    return slot != 0 && slot <= b->b_max_slots ? &b->b_slots[slot - 1] : NULL;
}
uint32_t fi_slots_free(const struct fi_block *b);

#endif
