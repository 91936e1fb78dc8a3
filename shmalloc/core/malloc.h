/* malloc.h - malloc(9) on the keg-level API: size classes from 16 bytes to 64 KiB, page runs above, statistics by type.
 * Owns the zones "malloc-16" ... and the types table; takes the admin lock to add a type. The tag in each item's aux
 * word is the truth about its type and size: free needs no type, recovery recounts from tags (I15).
 */
#ifndef SM_MALLOC_H
#define SM_MALLOC_H

#include "slab.h"
#include "zone.h"

#define SM_MALLOC_CLASSES 27
#define SM_MALLOC_CLASS_MAX 65536u

extern const uint32_t sm_malloc_class_bytes[SM_MALLOC_CLASSES];

enum sm_err sm_malloc_type(struct sm_arena *a, const char *name, uint32_t *type); /* found or made */
/* The zone and the item; usable bytes are those of the class (sm_malloc_usable). Any size up to the arena's, not 0.
 * SM_M_WAITOK sleeps at the limit of a class; above SM_MALLOC_CLASS_MAX it reclaims and tries once more. */
enum sm_err sm_malloc(struct sm_arena *a, uint64_t bytes, uint32_t type, int flags, int64_t timeout_ns,
                      struct sm_zone **z, void **item);
/* Any address that sm_malloc gave, of any class, held by this CPU; NULL is a no-op. sm_zone_free with the item's zone
 * does the same, slower. */
enum sm_err sm_malloc_free(struct sm_arena *a, void *item);
enum sm_err sm_malloc_usable(struct sm_arena *a, const void *item, uint64_t *requested, uint64_t *usable,
                             uint32_t *type);

/* Inside the core, quiesce lock held. An item of a TAGGED keg is freed for its dead user: clears the tag and counts the
 * free in the type's folded counters. */
void sm_malloc_drop(struct sm_arena *a, const struct sm_slab_ref *s);
/* Moves the counters of one CPU, which runs no operation any more, into the types. A crash in between counts some of
 * them twice or not at all: recovery recounts from the tags (I15). */
void sm_malloc_fold(struct sm_arena *a, uint32_t cpu);

#endif
