/* mbuf_zone.h - what attach.c needs of the mbuf layer: its native callbacks known before any zone is opened, and the
 * end of its handle. Takes no lock. */
#ifndef SM_MBUF_ZONE_H
#define SM_MBUF_ZONE_H

#include "mbuf.h"

enum sm_err sm_mb_register(void);
void sm_mb_close(struct sm_arena *a);
enum sm_err sm_mb_free_item(struct sm_arena *a, void *m); /* a_mfree */

#endif
