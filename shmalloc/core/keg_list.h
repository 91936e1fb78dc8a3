/* keg_list.h - the slab lists of a keg. Private to keg*.c and reap; keg lock held. */
#ifndef SM_KEG_LIST_H
#define SM_KEG_LIST_H

#include "keg.h"

uint32_t *sm_keg_list(struct sm_arena *a, uint32_t keg, uint32_t free_items); /* head of the list for this count */
void sm_keg_link(struct sm_arena *a, const struct sm_slab_ref *s);
void sm_keg_unlink(struct sm_arena *a, const struct sm_slab_ref *s);

#endif
