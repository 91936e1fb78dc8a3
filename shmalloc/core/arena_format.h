/* arena_format.h - geometry, region placement and header verification: what creation and attachment agree on.
 * Private to arena*.c. Touches nothing but the header it is given.
 */
#ifndef SM_ARENA_FORMAT_H
#define SM_ARENA_FORMAT_H

#include "arena.h"

/* Fills the region directory (fixed regions) and the object size of a header whose geometry fields are set. */
void sm_format_place(struct sm_header_shm *h);
/* The header as this version would place it for the geometry that h names; false: no arena has such a geometry. */
bool sm_format_placed(const struct sm_header_shm *h, struct sm_header_shm *placed);
uint32_t sm_format_checksum(const struct sm_header_shm *h);
/* Commits the fixed tables and writes header, locks and tunables into an empty object of the right size, mapped at
 * a->a_base; everything but the final h_state. */
enum sm_err sm_format_write(struct sm_arena *a, const struct sm_header_shm *h);
/* Points the region pointers of an attachment into its mapping. */
void sm_format_bind(struct sm_arena *a, uint8_t *base, uint64_t bytes);

#endif
