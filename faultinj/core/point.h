/* point.h - the table of points: the core's catalogue, then those that programs declare. Must not decide anything. */
#ifndef FI_POINT_H
#define FI_POINT_H

#include "block.h"

/* The number of the point of this name; a new one is entered if `make`. SM_NOT_FOUND, SM_TABLE_FULL, SM_NAME_TOO_LONG,
 * SM_INVALID (empty), SM_STALLED: a living process does not finish what it enters. */
enum sm_err fi_point_get(struct fi_block *b, const char *name, bool make, uint32_t *number);
/* Points that can be read. */
static inline uint32_t fi_point_count(const struct fi_block *b) {
    uint32_t n = sm_load_acq(&b->b_header->h_points); /* pairs with the store in point.c */
    return n < b->b_max_points ? n : b->b_max_points;
}

#endif
