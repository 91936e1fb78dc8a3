/* reap_words.c - one pass over every state word: what the dead held, cached or were constructing gets the state that it
 * has when they are gone. Each decision is one store; a crash between two of them leaves the rest for the next reaper.
 */
#include <stdlib.h>
#include <string.h>

#include "bucket.h"
#include "malloc.h"
#include "mbuf_walk.h"
#include "reap_impl.h"

enum reap_words_step { STEP_WORD_DECIDED = 0x720 };

void sm_reap_later(struct sm_reap_job *j, struct sm_entry e, uint32_t zone, bool fini) {
    if (j->rj_later_n == j->rj_later_room) {
        uint64_t room = j->rj_later_room ? 2 * j->rj_later_room : 256;
        void *more = realloc(j->rj_later, room * sizeof *j->rj_later);
        if (more == NULL) {
            j->rj_error = SM_NO_MEMORY;
            return; /* the word says HELD or CONSTRUCTING under this CPU: freed when it leaves */
        }
        j->rj_later = more;
        j->rj_later_room = room;
    }
    j->rj_later[j->rj_later_n++] = (struct sm_reap_item){e, zone, fini};
}

/* A put that died after the word was QUEUED and before the place was filled; or a reaper that died in the ring. */
static void lost(struct sm_reap_job *j, sm_off_t item, uint32_t queue) {
    if (sm_reap_bit(j->rj_placed, sm_reap_key(j->rj_arena, item))) {
        return;
    }
    if (j->rj_lost_n == j->rj_lost_room) {
        uint64_t room = j->rj_lost_room ? 2 * j->rj_lost_room : 64;
        void *more = realloc(j->rj_lost, room * sizeof *j->rj_lost);
        if (more == NULL) {
            j->rj_error = SM_NO_MEMORY; /* nothing is rebuilt: the next reaper notes it again */
            return;
        }
        j->rj_lost = more;
        j->rj_lost_room = room;
    }
    j->rj_lost[j->rj_lost_n++] = (struct sm_reap_lost){item, queue};
}

static bool cpu_dead(const struct sm_reap_job *j, uint32_t cpu) {
    return cpu < j->rj_arena->a_header->h_max_cpus && j->rj_dead[cpu];
}

static const struct sm_zone_shm *zone_record(const struct sm_arena *a, uint64_t w) {
    uint32_t id = SM_ST_ZONE(w);
    return id < a->a_header->h_max_zones && a->a_zones[id].z_state != SM_ZONE_FREE ? &a->a_zones[id] : NULL;
}

static bool callback_set(const struct sm_zone_shm *zs, enum sm_callback_slot slot) {
    return zs->z_cb[slot].cb_kind != SM_CB_ABSENT;
}

static bool has_zinit(const struct sm_zone_shm *zs) {
    return zs->z_flags & SM_ZONE_SECONDARY && (callback_set(zs, SM_CB_INIT) || callback_set(zs, SM_CB_FINI));
}

/* A bulk allocation names no item: what is in flight lies in the alloc bucket below op_arg. Without its mark op_arg is of
 * an earlier operation, and the entries above the bucket's count may be items that a user holds. */
static bool in_flight_bulk(const struct sm_arena *a, uint32_t cpu, uint32_t zone, sm_off_t item) {
    const struct sm_cache_shm *c = sm_cache_of(a, cpu, zone);
    uint64_t height = a->a_cpus[cpu].cpu_op_arg;
    const struct sm_bucket_shm *b = sm_bucket_at(a, c->c_alloc);
    for (uint32_t i = 0; c->c_alloc != 0 && i < height && i < SM_BUCKET_ITEMS; i++) {
        if (b->b_entry[i].e_item == item) {
            return true;
        }
    }
    return false;
}

/* Was the dead CPU in the middle of allocating or freeing just this item? Then no user holds it. */
static bool in_flight(const struct sm_arena *a, uint64_t w, sm_off_t item) {
    uint32_t cpu = SM_ST_CPU(w);
    uint64_t op = sm_load_rlx(&a->a_cpus[cpu].cpu_op);
    if (SM_OP_OF(op) == SM_OP_ALLOC && SM_OP_OPERAND(op) == SM_OP_BULK && SM_OP_ID(op) == SM_ST_ZONE(w)) {
        return in_flight_bulk(a, cpu, SM_ST_ZONE(w), item);
    }
    return (SM_OP_OF(op) == SM_OP_ALLOC || SM_OP_OF(op) == SM_OP_FREE) && SM_OP_OPERAND(op) == SM_OP_ITEM(item);
}

void sm_reap_set_free(struct sm_reap_job *j, const struct sm_slab_ref *s, uint64_t w, bool bump) {
    if (s->sr_aux) {
        if (j->rj_arena->a_kegs[s->sr_keg].k_flags & SM_KEG_TAGGED) {
            sm_malloc_drop(j->rj_arena, s);
        } else {
            s->sr_aux[s->sr_index] = 0;
        }
    }
    sm_store_rlx(&s->sr_words[s->sr_index], (w & SM_ST_GEN_MASK) + (bump ? SM_ST_GEN_ONE : 0) + SM_FREE);
    if (!bump) {
        j->rj_report.rr_uncached++;
        return;
    }
    j->rj_report.rr_freed++;
    if (SM_ST_ZONE(w) < j->rj_arena->a_header->h_max_zones) {
        j->rj_freed[SM_ST_ZONE(w)]++;
    }
}

/* Mbufs go straight to their slabs: what they refer to is found unreached afterwards. The bytes before the word: a crash
 * in between leaves an mbuf that refers to nothing and is swept again. */
static bool free_mbuf(struct sm_reap_job *j, const struct sm_slab_ref *s, uint64_t w, bool bump) {
    const struct sm_zone_shm *zs = zone_record(j->rj_arena, w);
    if (zs == NULL || !(zs->z_flags & SM_ZONE_MBUF)) {
        return false;
    }
    sm_walk_clear_mbuf(sm_at(j->rj_arena, sm_slab_item(j->rj_arena, s, s->sr_index)));
    sm_reap_set_free(j, s, w, bump);
    return true;
}

static void reap_held(struct sm_reap_job *j, const struct sm_slab_ref *s, uint64_t w, struct sm_entry e) {
    struct sm_arena *a = j->rj_arena;
    const struct sm_zone_shm *zs = zone_record(a, w);
    uint64_t *word = &s->sr_words[s->sr_index];
    bool flight = in_flight(a, w, e.e_item), runs = (a->a_kegs[s->sr_keg].k_flags & SM_KEG_RUNS) != 0;
    j->rj_report.rr_undone += flight;
    if (flight) {
        sm_reap_note_did(j, SM_ST_CPU(w), SM_REAP_FREED);
    }
    if (free_mbuf(j, s, w, true)) {
        return;
    }
    if (zs && zs->z_flags & SM_ZONE_KEEP && !flight) {
        sm_store_rlx(word, (w & SM_ST_GEN_MASK) | SM_ST_LOW(SM_HELD, SM_ST_ZONE(w), SM_CPU_NONE));
        j->rj_report.rr_kept++;
        return;
    }
    if (zs && !runs &&
        (flight || (!callback_set(zs, SM_CB_DTOR) && !has_zinit(zs) && !(zs->z_flags & SM_ZONE_TRASH)))) {
        sm_reap_set_free(j, s, w, true);
        return;
    }
    /* The reaper becomes the holder; if it dies before the free, its own reaper finds the item here again. */
    sm_store_rlx(word, (w & SM_ST_GEN_MASK) | SM_ST_LOW(SM_HELD, SM_ST_ZONE(w), a->a_cpu_id));
    sm_reap_later(j, e, SM_ST_ZONE(w), false);
}

static void reap_cached(struct sm_reap_job *j, const struct sm_slab_ref *s, uint64_t w, struct sm_entry e) {
    const struct sm_zone_shm *zs = zone_record(j->rj_arena, w);
    if (sm_reap_bit(j->rj_cached, sm_reap_key(j->rj_arena, e.e_item))) {
        return;
    }
    if (free_mbuf(j, s, w, false)) {
        return;
    }
    if (zs && has_zinit(zs)) {
        sm_store_rlx(&s->sr_words[s->sr_index],
                     (w & SM_ST_GEN_MASK) | SM_ST_LOW(SM_CONSTRUCTING, SM_ST_ZONE(w), j->rj_arena->a_cpu_id));
        sm_reap_later(j, e, SM_ST_ZONE(w), true);
        return;
    }
    sm_reap_set_free(j, s, w, false);
}

/* A get that died after the word was HELD and before the place was free: no user saw the item, it stays queued. */
static bool undo_get(struct sm_reap_job *j, uint64_t *word, uint64_t w, sm_off_t item) {
    struct sm_arena *a = j->rj_arena;
    uint64_t op = sm_load_rlx(&a->a_cpus[SM_ST_CPU(w)].cpu_op);
    uint32_t q = SM_OP_ID(op);
    if (SM_OP_OF(op) != SM_OP_GET || q >= a->a_header->h_max_queues || a->a_queues[q].q_state != SM_ZONE_LIVE ||
        !sm_reap_bit(j->rj_placed, sm_reap_key(a, item))) {
        return false;
    }
    sm_store_rlx(word, (w & SM_ST_GEN_MASK) | SM_ST_LOW(SM_QUEUED, SM_ST_ZONE(w), q));
    j->rj_report.rr_undone++;
    sm_reap_note_did(j, SM_ST_CPU(w), SM_REAP_QUEUED);
    return true;
}

/* What is out after the sweep: the base of the counters (I12, I15). */
static void tally(struct sm_reap_job *j, const struct sm_slab_ref *s, uint64_t one) {
    const struct sm_arena *a = j->rj_arena;
    uint64_t w = sm_load_rlx(&s->sr_words[s->sr_index]);
    const struct sm_keg_shm *k = &a->a_kegs[s->sr_keg];
    uint32_t tag = k->k_flags & SM_KEG_TAGGED && s->sr_aux ? s->sr_aux[s->sr_index] : 0;
    if (SM_ST_KIND(w) <= SM_CACHED || SM_ST_ZONE(w) >= a->a_header->h_max_zones) {
        return;
    }
    j->rj_live[SM_ST_ZONE(w)] += !(k->k_flags & SM_KEG_RUNS) || tag != 0 ? one : 0;
    if (tag != 0 && SM_TAG_TYPE(tag) < a->a_header->h_max_types) {
        j->rj_type_items[SM_TAG_TYPE(tag)] += one;
        j->rj_type_bytes[SM_TAG_TYPE(tag)] +=
            one * (k->k_flags & SM_KEG_RUNS ? (uint64_t)s->sr_pages << SM_PAGE_SHIFT : k->k_item_bytes);
    }
}

void sm_reap_untally(struct sm_reap_job *j, const struct sm_slab_ref *s) {
    tally(j, s, (uint64_t)-1);
}

static int sweep_slab(const struct sm_slab_ref *slab, void *ctx) {
    struct sm_reap_job *j = ctx;
    struct sm_arena *a = j->rj_arena;
    struct sm_slab_ref s = *slab;
    for (uint32_t i = 0; i < a->a_kegs[s.sr_keg].k_items; i++) {
        uint64_t w = sm_load_rlx(&s.sr_words[i]);
        struct sm_entry e = {sm_slab_item(a, &s, i), sm_off_of(a, &s.sr_words[i])};
        s.sr_index = i;
        switch (SM_ST_KIND(w)) {
        case SM_CACHED:
            reap_cached(j, &s, w, e);
            break;
        case SM_CONSTRUCTING:
            if (cpu_dead(j, SM_ST_CPU(w)) && a->a_kegs[s.sr_keg].k_flags & SM_KEG_RUNS) {
                sm_store_rlx(&s.sr_words[i], (w & SM_ST_GEN_MASK) | SM_ST_LOW(SM_HELD, SM_ST_ZONE(w), a->a_cpu_id));
                sm_reap_later(j, e, SM_ST_ZONE(w), false);
            } else if (cpu_dead(j, SM_ST_CPU(w)) && !free_mbuf(j, &s, w, true)) {
                sm_reap_set_free(j, &s, w, true); /* contents undefined: no dtor */
            }
            break;
        case SM_HELD:
            if (cpu_dead(j, SM_ST_CPU(w)) && !undo_get(j, &s.sr_words[i], w, e.e_item)) {
                reap_held(j, &s, w, e);
            }
            break;
        case SM_TICKETED:
            if (cpu_dead(j, SM_ST_CPU(w))) { /* its receiver may live: the ticket stays good, without a sender */
                sm_store_rlx(&s.sr_words[i], (w & SM_ST_GEN_MASK) | SM_ST_LOW(SM_TICKETED, SM_ST_ZONE(w), SM_CPU_NONE));
                j->rj_report.rr_kept++;
            }
            break;
        case SM_QUEUED:
            lost(j, e.e_item, SM_ST_CPU(w));
            break;
        default:
            break;
        }
        if (w != sm_load_rlx(&s.sr_words[i])) {
            sm_crash_point(a, STEP_WORD_DECIDED);
        }
        tally(j, &s, 1);
    }
    return 0;
}

void sm_reap_words(struct sm_reap_job *j) {
    (void)sm_slab_each(j->rj_arena, 0, sweep_slab, j);
}
