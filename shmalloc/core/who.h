/* who.h - every item that is out: who has it, of which zone, where and when it was allocated. Takes no lock and stops
 * nobody: on a live arena a look while others work, on a dump or a stopped arena an exact one. Writes nothing.
 */
#ifndef SM_WHO_H
#define SM_WHO_H

#include "site.h"

struct sm_who_item {
    sm_off_t wi_item;   /* the item's first byte */
    uint64_t wi_bytes;  /* what its user asked for */
    int64_t wi_time_ns; /* CLOCK_REALTIME of the allocation; 0: not recorded */
    uint32_t wi_zone;   /* may be any number in a damaged arena */
    uint32_t wi_kind;   /* SM_HELD, SM_QUEUED, SM_TICKETED or SM_ATTACHED */
    uint32_t wi_holder; /* CPU, SM_CPU_NONE: nobody's; of a QUEUED item the queue */
    uint32_t wi_gen;
    uint32_t wi_site;   /* SM_SITE_NONE: not recorded */
    uint32_t wi_pid;    /* of the process that allocated it; 0: not recorded */
    uint32_t wi_type;   /* malloc type; UINT32_MAX: not malloc's */
    bool wi_traced;     /* its keg has trace records */
};

/* Calls fn for every item that is out, in the order of addresses; stops at the first nonzero return. SM_CORRUPT: not
 * even the regions are where the header says. SM_NO_MEMORY: this process has none for the tables of the walk. Every
 * number that is followed is checked against a bound first, so a damaged arena gives fewer items, or odd ones. */
typedef int (*sm_who_fn)(void *ctx, const struct sm_who_item *item);
enum sm_err sm_who_each(struct sm_arena *a, sm_who_fn fn, void *ctx);

#endif
