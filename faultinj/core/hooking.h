/* hooking.h - an arena under faults: the table of hooks that turns the core's points into fi_reach. Owns what an attachment
 * adds to a block. Must not know the core beyond hooks.h.
 */
#ifndef FI_HOOKING_H
#define FI_HOOKING_H

#include "block.h"

#define FI_HOOKS (SM_HOOK_FAULT | SM_HOOK_CRASH)

struct fi_hooking {
    struct fi_block *k_block;
    uint32_t (*k_cpu)(const void *arena); /* NULL: attachments of this table cannot be told apart by their CPU */
    const void *k_arena;
};

/* The table, for set_hooks and for rt_hooks; *k must outlive every attachment that has it. */
void fi_hooking_table(struct fi_hooking *k, struct sm_hooks *out);
/* What a core point reports for this return; SM_OK: nothing that the core knows, the point passes. */
enum sm_err fi_core_error(const struct fi_block *b, uint32_t point, uint32_t code, int64_t number);
/* The errnos that a core point's return may name, by place; 0: there are no more. */
int fi_core_errno(unsigned place);

#endif
