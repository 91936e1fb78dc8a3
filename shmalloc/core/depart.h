/* depart.h - what a leaving CPU still holds: freed with its dtor, or left without an owner where the zone keeps. */
#ifndef SM_DEPART_H
#define SM_DEPART_H

#include "zone.h"

/* False: something stays under this CPU's number (a callback that this process cannot find, a lock that stalls): the slot
 * must not be given back, then recovery by another process finds it. */
bool sm_depart_held(struct sm_arena *a);

#endif
