/* depart.h - what a leaving CPU still holds: freed with its dtor, or left without an owner where the zone keeps. */
#ifndef SM_DEPART_H
#define SM_DEPART_H

#include "zone.h"

void sm_depart_held(struct sm_arena *a);

#endif
