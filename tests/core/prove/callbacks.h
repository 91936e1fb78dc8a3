/* callbacks.h - the native callbacks of the zones under proof. They mark an item while it is neither made nor unmade:
 * a dtor that meets the mark was run on an item that no ctor finished, or for a second time.
 */
#ifndef TESTS_CORE_PROVE_CALLBACKS_H
#define TESTS_CORE_PROVE_CALLBACKS_H

#include "prove.h"

extern int callback_refuse;            /* which slot refuses; -1: none. A victim sets it, nobody else does. */
extern int64_t callback_refuse_after;  /* calls that succeed before */
extern uint64_t callback_wrong_dtors;  /* dtors that met the mark in this process */
extern int callback_stop;                 /* which slot stops for ever, after telling callback_stop_fd; -1: none */
extern int callback_stop_fd;
extern void (*callback_told)(enum sm_callback_slot slot); /* called by each callback first, unless NULL */
bool callback_inited(const void *mem, uint32_t bytes); /* init ran and fini did not */
void callback_set(struct sm_zone_params *p, enum sm_callback_slot slot, const char *name);

#endif
