/* site.h - allocation sites: texts that say where in a program an item was allocated, and the trace records that name
 * them. Takes no lock. Only traced zones (SM_ZONE_TRACE, or an arena made with g_trace) record anything.
 */
#ifndef SM_SITE_H
#define SM_SITE_H

#include "arena.h"

/* The site with this text, found or made; what does not fit SM_SITE_TEXT is cut off. *site is SM_SITE_FULL when the
 * table has no place left, which is no error. SM_READ_ONLY; SM_NOT_FOUND: no zone of this arena is traced. */
enum sm_err sm_site_intern(struct sm_arena *a, const char *text, uint32_t *site);
/* What the next allocations of this attachment in traced zones are recorded under, until it is set again;
 * SM_SITE_NONE: the address that each is called from, as the loader names it. SM_INVALID: there is no such site. */
enum sm_err sm_site_set(struct sm_arena *a, uint32_t site);
/* The text of a site, SM_SITE_TEXT bytes; false when there is none by this number, and out is empty. Bound-checked: any
 * number, also on a damaged arena. */
bool sm_site_text(const struct sm_arena *a, uint32_t site, char *out);
/* Whether the next allocation in a traced zone is one that debug.sites wants recorded. */
bool sm_site_due(const struct sm_arena *a);

/* Inside the core. Commits the table; admin lock held. */
enum sm_err sm_site_commit(struct sm_arena *a);
/* The site of an allocation called from `caller`; counts it. SM_SITE_NONE: this one is not to be recorded. Outside
 * operations and locks. */
uint32_t sm_site_here(struct sm_arena *a, const void *caller);
/* Writes the trace record of an item that is CONSTRUCTING under this CPU, or a page run that it holds. */
void sm_site_record(struct sm_arena *a, sm_off_t item, uint32_t site);

#endif
