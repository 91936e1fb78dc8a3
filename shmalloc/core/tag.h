/* tag.h - the tag of a malloc item and the counters of its type. Takes no lock; see malloc.c for what the tag means.
 * Below zones, so that whoever frees an item without malloc (a zone's free, departure, recovery) keeps the books too.
 */
#ifndef SM_TAG_H
#define SM_TAG_H

#include "slab.h"

/* Bytes of the item that *s names, as its class or run counts them. */
uint64_t sm_tag_usable(const struct sm_arena *a, const struct sm_slab_ref *s);

/* The item is HELD by this CPU and has no tag: sets it and counts, in one operation. runs: this CPU's cache of the zone
 * of page runs, whose allocations are counted with the tag; NULL for every other zone. */
enum sm_err sm_tag_set(struct sm_arena *a, uint32_t *tag, uint32_t type, uint64_t usable, uint64_t bytes,
                       struct sm_cache_shm *runs);
/* Clears the tag of an item HELD by this CPU, about to be freed. Without a tag: nothing to do. */
enum sm_err sm_tag_clear(struct sm_arena *a, const struct sm_slab_ref *s, struct sm_cache_shm *runs);

static inline uint32_t sm_tag_types(const struct sm_arena *a) {
    uint32_t n = sm_load_acq(&a->a_ctl->ctl_types); /* pairs with type_add: names below it are whole, and stay */
    return n < a->a_header->h_max_types ? n : a->a_header->h_max_types;
}

static inline struct sm_type_stat_shm *sm_tag_stat(const struct sm_arena *a, uint32_t cpu, uint32_t type) {
    return &a->a_type_stats[(uint64_t)cpu * a->a_header->h_max_types + type];
}

#endif
