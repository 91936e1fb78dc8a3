/* reap_impl.h - what the reap_*.c files share. Private to them. The world is stopped in all of them. */
#ifndef SM_REAP_IMPL_H
#define SM_REAP_IMPL_H

#include "reap.h"
#include "slab.h"

struct sm_reap_item { /* left to do when the world runs again: dtor, zone fini, or a run's pages */
    struct sm_entry ri_entry;
    uint32_t ri_zone;
    bool ri_fini; /* CONSTRUCTING under this CPU: only the zone's fini is due; else HELD: a free with everything */
};

struct sm_reap_lost { /* QUEUED, but in no place of its queue's ring */
    sm_off_t lo_item;
    uint32_t lo_queue;
};

struct sm_reap_job {
    struct sm_arena *rj_arena;
    struct sm_reap_report rj_report;
    bool *rj_dead;       /* by CPU */
    uint8_t *rj_cached;  /* bit per 16 bytes of data: the item is in a bucket of a live CPU */
    uint64_t *rj_live;   /* by zone: items that are out */
    uint64_t *rj_freed;  /* by zone: items that recovery returned */
    uint64_t *rj_type_items, *rj_type_bytes; /* by malloc type, from tags */
    uint8_t *rj_placed;  /* bit per 16 bytes of data: the item has a place in a queue */
    struct sm_reap_item *rj_later;
    uint64_t rj_later_n, rj_later_room;
    uint8_t *rj_reached; /* bit per 16 bytes of data: an mbuf or sockbuf reaches the item */
    struct sm_walk *rj_walk;
    struct sm_reap_lost *rj_lost;
    uint64_t rj_lost_n, rj_lost_room;
    enum sm_err rj_error;
};

static inline bool sm_reap_bit(const uint8_t *bits, uint64_t i) {
    return bits[i >> 3] >> (i & 7) & 1;
}
static inline void sm_reap_set_bit(uint8_t *bits, uint64_t i) {
    bits[i >> 3] |= (uint8_t)(1u << (i & 7));
}
static inline uint64_t sm_reap_key(const struct sm_arena *a, sm_off_t item) {
    return (item - a->a_data_off) / SM_MIN_ITEM;
}

void sm_reap_places(struct sm_reap_job *j); /* before the sweep: which items have a place in a ring */
void sm_reap_words(struct sm_reap_job *j);  /* the sweep over all state words; notes QUEUED items without a place */
void sm_reap_mbufs(struct sm_reap_job *j);  /* after it: what nothing reaches any more; counters; sockbufs */
void sm_reap_lists(struct sm_reap_job *j);  /* kegs, zones, buckets, counters, types */
void sm_reap_queues(struct sm_reap_job *j); /* rings, from places and QUEUED words */
void sm_reap_locks(struct sm_reap_job *j);  /* users' locks: what the dead held and waited for */

/* reap_words.c, for the sweeps after its own: a word becomes FREE (bump: it leaves a user); an item is left for when the
 * world runs again; and is no longer counted as being out. */
void sm_reap_set_free(struct sm_reap_job *j, const struct sm_slab_ref *s, uint64_t w, bool bump);
void sm_reap_later(struct sm_reap_job *j, struct sm_entry e, uint32_t zone, bool fini);
void sm_reap_untally(struct sm_reap_job *j, const struct sm_slab_ref *s);

void sm_reap_note_cpu(struct sm_reap_job *j, uint32_t cpu);
/* Notes what became of the operation of a dead CPU; without a note it was finished by the rebuild. */
void sm_reap_note_did(struct sm_reap_job *j, uint32_t cpu, enum sm_reap_did did);
/* The log, in the grammar that reap_report.c describes: the deaths while the world stands still and their slots are not
 * free yet, zones and totals when it goes again. */
void sm_reap_tell_deaths(const struct sm_reap_job *j);
void sm_reap_tell_totals(struct sm_reap_job *j);

#endif
