/* hooking.h - an arena under witness: the table of hooks that turns what its locks say into w_* calls. Owns the classes of
 * one attachment's locks, process-local. Must not know the core beyond hooks.h.
 */
#ifndef W_HOOKING_H
#define W_HOOKING_H

#include "block.h"
#include "shmalloc/core/hooks.h"

#define W_ARENA_LOCKS 256u /* of which the class is remembered; others are looked up each time */

struct w_hooking {
    struct w_block *k_block;
    uint32_t k_core[SM_LC_COUNT];
    struct {
        uint64_t k_life; /* gen << 32 | id + 1, 0: not known */
        uint32_t k_class, k_role; /* of the lock's handle, f_role */
    } k_lock[W_ARENA_LOCKS];
};

/* Makes the classes of the allocator's own locks and declares their order. */
enum sm_err w_hooking_init(struct w_hooking *k, struct w_block *b);
#define W_HOOKS (SM_HOOK_LOCK | SM_HOOK_SLEEP | SM_HOOK_USERLOCK)
/* The table, for set_hooks. */
void w_hooking_table(struct w_hooking *k, struct sm_hooks *out);

#endif
