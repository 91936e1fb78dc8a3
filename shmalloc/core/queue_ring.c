/* queue_ring.c - one attempt to put items into a queue's ring, or to take some out. Takes no lock, never waits.
 * After D. Vyukov's bounded MPMC queue: a place's turn says who may use it, one compare-and-swap on q_tail or q_head
 * claims a row of places.
 *
 * THE TRUTH is the item's state word: QUEUED with the queue's id means "in this queue". The ring adds only the order.
 *
 * put, for each item                       what a kill right after this step leaves, and what the reaper makes of it
 *   1 op word {PUT, queue, item}, op_arg   HELD by the dead CPU, no place: still the CPU's, its zone's policy decides
 *   2 q_tail: pos -> pos + n               the same; places pos .. pos + n - 1 are holes (turn still pos): closed by
 *                                          the rebuild, since consumers cannot pass them
 *   3 word HELD -> QUEUED, generation + 1  QUEUED, no occupied place names it: the rebuild gives it one, at op_arg for
 *                                          the item of the op word, behind all others otherwise
 *   4 pl_item                              as 3: the place is not occupied before its turn says so
 *   5 turn = pos + 1                       done: the item is the queue's
 *   6 op word 0                            done
 * get, for each item
 *   1 op word {GET, queue, item}, op_arg   nothing happened
 *   2 q_head: pos -> pos + n               QUEUED, and its place is occupied but before q_head: the rebuild takes every
 *                                          occupied place in the order of its turn, so the item is first again
 *   3 word QUEUED -> HELD                  HELD by a dead CPU whose op word is GET, in an occupied place: no user ever
 *                                          saw it, the rebuild makes it QUEUED again in its place (I11)
 *   4 turn = pos + places                  HELD by the dead CPU, its place is free: received, the zone's policy decides
 *   5 op word 0                            received
 * Step 3 is the one store by which an item changes sides, so it is never in two places and never in none (I7). A reaper
 * that dies while it rewrites a ring leaves words that still say QUEUED: the next one starts from them.
 * The rebuild may renumber places: it runs with the world stopped, where no live CPU holds a claimed place.
 */
#include "queue_ring.h"

#include "base/assert.h"
#include "cache.h"
#include "quiesce.h"
#include "slab.h"
#include "zone_impl.h"

enum ring_step { /* crash points */
                 STEP_PUT_CHECKED = 0x500,
                 STEP_PUT_CLAIMED,
                 STEP_PUT_QUEUED,
                 STEP_PUT_NAMED,
                 STEP_PUT_PLACED,
                 STEP_GET_SEEN = 0x510,
                 STEP_GET_CLAIMED,
                 STEP_GET_HELD,
                 STEP_GET_RELEASED
};

#define BUSY_SPINS 64 /* rounds for a place that is being filled or emptied right now */

/* As sm_op_enter, with the common case inline. */
static inline enum sm_err ring_enter(struct sm_arena *a, uint64_t op) {
    struct sm_cpu_shm *cpu = a->a_cpu;
    sm_store_rlx(&cpu->cpu_op, op);
    sm_op_order(a); /* pairs with membarrier in quiesce.c */
    if (sm_likely(sm_load_acq(&cpu->cpu_claim) == 0)) {
        return SM_OK;
    }
    sm_store_rel(&cpu->cpu_op, 0);
    return sm_op_enter(a, op);
}

static inline struct sm_place_shm *ring_place(const struct sm_queue *q, uint64_t pos) {
    return &q->q_ring[pos & q->q_mask];
}

/* A blank occupies a place that was claimed for nothing. */
static void ring_blank(struct sm_queue *q, uint64_t pos) {
    struct sm_place_shm *p = ring_place(q, pos);
    sm_store_rlx(&p->pl_item, 0);
    sm_store_rel(&p->pl_turn, pos + 1);
}

/* Why this item cannot be put. SM_OK: it can, only the fast lookup does not know its kind of slab. */
static enum sm_err put_refusal(const struct sm_zone *z, const void *item, uint64_t **word) {
    struct sm_arena *a = z->z_arena;
    enum sm_err err = sm_zone_lookup(z, item, word);
    if (err != SM_OK) {
        return err;
    }
    uint64_t st = sm_load_acq(*word);
    if (SM_ST_KIND(st) != SM_FREE && SM_ST_ZONE(st) != z->z_id) {
        return SM_NOT_OURS;
    }
    switch (SM_ST_KIND(st)) {
    case SM_FREE:
    case SM_CACHED:
        return SM_DOUBLE_FREE;
    case SM_CONSTRUCTING:
        return SM_IN_CALLBACK;
    case SM_HELD:
        a->a_blocker = SM_ST_CPU(st);
        return SM_ST_CPU(st) == a->a_cpu_id ? SM_OK : SM_NOT_OWNER;
    case SM_QUEUED:
    case SM_TICKETED:
    case SM_ATTACHED:
        a->a_blocker = SM_CPU_NONE;
        return SM_NOT_OWNER;
    default:
        return SM_CORRUPT;
    }
}

/* Claims up to want places; *pos is the first. 0: full. q_tail's compare-and-swap makes the claim exact: q_head only
 * grows, so a stale copy of it can make the ring look fuller, never emptier. */
static inline uint32_t put_claim(struct sm_queue *q, uint32_t want, uint64_t *first) {
    struct sm_queue_shm *s = q->q_shm;
    struct sm_cpu_shm *cpu = q->q_arena->a_cpu;
    uint64_t pos = sm_load_rlx(&s->q_tail);
    for (uint32_t spins = 0;;) {
        int64_t used = (int64_t)(pos - q->q_head_seen);
        if (sm_unlikely(used < 0 || (uint64_t)used + want > q->q_limit)) {
            q->q_head_seen = sm_load_acq(&s->q_head);
            used = (int64_t)(pos - q->q_head_seen);
            if (used < 0) { /* pos is older than this head */
                pos = sm_load_rlx(&s->q_tail);
                continue;
            }
            if ((uint64_t)used >= q->q_limit) {
                return 0;
            }
        }
        uint32_t room = q->q_limit - (uint64_t)used < want ? (uint32_t)(q->q_limit - (uint64_t)used) : want, ready = 0;
        /* Acquire: pairs with the consumer's release of the place. */
        while (ready < room && sm_load_acq(&ring_place(q, pos + ready)->pl_turn) == pos + ready) {
            ready++;
        }
        if (sm_unlikely(ready == 0)) {
            uint64_t now = sm_load_rlx(&s->q_tail);
            if (now == pos) { /* its consumer has passed q_head but not finished */
                if (++spins > BUSY_SPINS) {
                    q->q_busy = true;
                    return 0;
                }
                sm_cpu_relax();
            }
            pos = now;
            continue;
        }
        sm_store_rlx(&cpu->cpu_op_arg, pos);
        sm_compiler_barrier(); /* the argument before the claim, as seen after a kill */
        if (sm_cas(&s->q_tail, &pos, pos + ready)) {
            *first = pos;
            return ready;
        }
    }
}

static inline __attribute__((always_inline)) enum sm_err put_some(struct sm_queue *q, struct sm_zone *z, uint32_t n,
                                                                  void *const *items, uint32_t *done) {
    struct sm_arena *a = q->q_arena;
    uint64_t *words[SM_RING_CLAIM];
    uint32_t want = 0, placed = 0;
    uint64_t pos;
    enum sm_err err = SM_OK;

    *done = 0;
    q->q_busy = false;
    if (sm_unlikely(z->z_arena != a)) {
        return SM_NOT_OURS;
    }
    uint64_t first_off = (uint64_t)((const uint8_t *)items[0] - a->a_base) - z->z_item_off;
    if (sm_unlikely(first_off >= a->a_bytes)) {
        return SM_NOT_OURS;
    }
    err = ring_enter(a, q->q_op_put | SM_OP_ITEM(first_off) << 16);
    if (sm_unlikely(err != SM_OK)) {
        return err;
    }
    if (sm_queue_gone(q)) {
        err = SM_GONE;
        goto leave;
    }
    for (; want < n; want++) {
        words[want] = sm_cache_word(z, items[want]);
        if (sm_unlikely(words[want] == NULL || (uint32_t)sm_load_rlx(words[want]) != z->z_low_held) &&
            (err = put_refusal(z, items[want], &words[want])) != SM_OK) {
            break;
        }
    }
    if (sm_unlikely(want == 0)) {
        goto leave;
    }
    sm_crash_point(a, STEP_PUT_CHECKED);
    uint32_t claimed = put_claim(q, want, &pos);
    if (claimed == 0) {
        err = SM_FULL;
        goto leave;
    }
    if (claimed < want) {
        err = SM_OK; /* the refused item was not reached */
    }
    sm_crash_point(a, STEP_PUT_CLAIMED);
    uint64_t low = SM_ST_LOW(SM_QUEUED, z->z_id, q->q_id);
    for (; placed < claimed; placed++) {
        uint64_t st = sm_load_rlx(words[placed]);
        if (sm_unlikely((uint32_t)st != z->z_low_held)) {
            err = SM_NOT_OWNER; /* named twice in this call: this very loop queued it */
            break;
        }
        struct sm_place_shm *p = ring_place(q, pos + placed);
        /* Release: whoever takes the item sees what its sender wrote to it. */
        sm_store_rel(words[placed], ((st & SM_ST_GEN_MASK) + SM_ST_GEN_ONE) | low);
        sm_crash_point(a, STEP_PUT_QUEUED);
        sm_store_rlx(&p->pl_item, (sm_off_t)((const uint8_t *)items[placed] - a->a_base) - z->z_item_off);
        sm_crash_point(a, STEP_PUT_NAMED);
        sm_store_rel(&p->pl_turn, pos + placed + 1); /* pairs with the consumer's acquire of the turn */
        sm_crash_point(a, STEP_PUT_PLACED);
    }
    for (uint32_t i = placed; i < claimed; i++) {
        ring_blank(q, pos + i);
    }
leave:
    sm_op_leave(a);
    *done = placed;
    return err;
}

enum sm_err sm_ring_put_one(struct sm_queue *q, struct sm_zone *z, void *item) {
    uint32_t done;
    return put_some(q, z, 1, &item, &done);
}

enum sm_err sm_ring_put(struct sm_queue *q, struct sm_zone *z, uint32_t n, void *const *items, uint32_t *done) {
    *done = 0;
    while (*done < n) {
        uint32_t now = n - *done < SM_RING_CLAIM ? n - *done : SM_RING_CLAIM, some;
        enum sm_err err = put_some(q, z, now, items + *done, &some);
        *done += some;
        if (err != SM_OK) {
            return err == SM_FULL && *done > 0 ? SM_OK : err;
        }
        if (some < now) {
            break;
        }
    }
    return SM_OK;
}

/* ---------------------------------------------------------------- get */

struct ring_item {
    struct sm_zone *i_zone; /* NULL: a blank */
    uint64_t *i_word;
    sm_off_t i_item;
};

/* Word and zone of an item that a place names, before the place is claimed: an item whose zone cannot be opened here
 * stays in the queue. Another consumer may take it meanwhile, so nothing found here counts before the claim succeeds.
 * SM_UNRESOLVED: zone *zone_id has no handle in this process yet. */
static enum sm_err item_find(struct sm_queue *q, sm_off_t item, struct ring_item *out, uint32_t *zone_id) {
    struct sm_arena *a = q->q_arena;
    struct sm_slab_ref s;
    enum sm_err err = sm_slab_find(a, item, &s);
    if (err != SM_OK) {
        return SM_CORRUPT;
    }
    uint64_t st = sm_load_acq(&s.sr_words[s.sr_index]);
    if (SM_ST_KIND(st) != SM_QUEUED || SM_ST_CPU(st) != q->q_id || SM_ST_ZONE(st) >= a->a_header->h_max_zones) {
        return SM_CORRUPT;
    }
    *zone_id = SM_ST_ZONE(st);
    struct sm_zone *z = a->a_zone[*zone_id];
    if (z == NULL || z->z_gen != sm_load_acq(&z->z_shm->z_gen)) {
        return SM_UNRESOLVED;
    }
    sm_zone_widen(z); /* the item may lie where this process has not looked before */
    out->i_zone = q->q_zone = z;
    out->i_word = &s.sr_words[s.sr_index];
    return SM_OK;
}

static inline enum sm_err item_resolve(struct sm_queue *q, sm_off_t item, struct ring_item *out, uint32_t *zone_id) {
    struct sm_zone *z = q->q_zone;
    out->i_item = item;
    if (sm_unlikely(item == 0)) {
        out->i_zone = NULL;
        out->i_word = NULL;
        return SM_OK;
    }
    if (sm_likely(z != NULL && z->z_gen == sm_load_rlx(&z->z_shm->z_gen))) {
        uint64_t *word = sm_cache_word(z, z->z_base + item + z->z_item_off);
        if (sm_likely(word != NULL && (uint32_t)sm_load_acq(word) == SM_ST_LOW(SM_QUEUED, z->z_id, q->q_id))) {
            out->i_zone = z;
            out->i_word = word;
            return SM_OK;
        }
    }
    return item_find(q, item, out, zone_id);
}

/* Fetches early what taking the item at pos will touch: its word, to be written, and its first bytes. The lines come
 * from the producer's processor, so they are asked for together and waited for once. */
static inline bool ring_prefetch(const struct sm_queue *q, uint64_t pos) {
    const struct sm_place_shm *p = ring_place(q, pos);
    const struct sm_zone *z = q->q_zone;
    if (z == NULL || sm_load_rlx(&p->pl_turn) != pos + 1) {
        return false;
    }
    const uint8_t *mem = z->z_base + sm_load_rlx(&p->pl_item) + z->z_item_off;
    __builtin_prefetch(sm_cache_word(z, mem), 1);
    __builtin_prefetch(mem, 0);
    return true;
}

/* Claims up to want occupied places; *first is the first. *err with 0: SM_EMPTY, SM_UNRESOLVED, or SM_CORRUPT: the
 * place names no item of this queue, and q_head stands still, so no other consumer is the reason. */
static inline uint32_t get_claim(struct sm_queue *q, bool peek, uint32_t want, struct ring_item *found, uint64_t *first,
                                 enum sm_err *err, uint32_t *zone_id) {
    struct sm_queue_shm *s = q->q_shm;
    struct sm_cpu_shm *cpu = q->q_arena->a_cpu;
    uint64_t pos = sm_load_rlx(&s->q_head);
    for (uint32_t spins = 0;;) {
        uint32_t ready = 0;
        *err = SM_EMPTY;
        for (uint32_t i = want == 1; i <= want && ring_prefetch(q, pos + i); i++) {
        }
        while (ready < want) {
            struct sm_place_shm *p = ring_place(q, pos + ready);
            if (sm_load_acq(&p->pl_turn) != pos + ready + 1) { /* pairs with the producer's release of the turn */
                break;
            }
            *err = item_resolve(q, sm_load_rlx(&p->pl_item), &found[ready], zone_id);
            if (sm_unlikely(*err != SM_OK)) {
                break;
            }
            ready++;
        }
        if (ready == 0) {
            uint64_t now = sm_load_acq(&s->q_head);
            if (now == pos) {
                if (*err == SM_UNRESOLVED || (*err == SM_EMPTY && (peek || sm_load_acq(&s->q_tail) == pos))) {
                    return 0;
                }
                if (++spins > BUSY_SPINS) {
                    q->q_busy = *err == SM_EMPTY; /* a producer has claimed the place but not filled it */
                    return 0;
                }
                sm_cpu_relax();
            }
            pos = now;
            continue;
        }
        sm_store_rlx(&cpu->cpu_op_arg, pos);
        sm_store_rlx(&cpu->cpu_op, q->q_op_get | SM_OP_ITEM(found[0].i_item) << 16);
        sm_compiler_barrier(); /* both before the claim, as seen after a kill */
        sm_crash_point(q->q_arena, STEP_GET_SEEN);
        if (sm_cas(&s->q_head, &pos, pos + ready)) {
            *first = pos;
            return ready;
        }
    }
}

static inline __attribute__((always_inline)) enum sm_err get_some(struct sm_queue *q, bool peek, uint32_t n,
                                                                  struct sm_zone **zones, void **items, uint32_t *got,
                                                                  uint32_t *zone_id) {
    struct sm_arena *a = q->q_arena;
    struct ring_item found[SM_RING_CLAIM];
    uint64_t pos;
    uint32_t k = 0;

    *got = 0;
    q->q_busy = false;
    enum sm_err err = ring_enter(a, q->q_op_get);
    if (sm_unlikely(err != SM_OK)) {
        return err;
    }
    if (sm_queue_gone(q)) {
        err = SM_GONE;
        goto leave;
    }
    while (k == 0) { /* again only when all that was claimed were blanks */
        uint32_t claimed = get_claim(q, peek, n, found, &pos, &err, zone_id);
        if (claimed == 0) {
            goto leave;
        }
        err = SM_OK;
        sm_crash_point(a, STEP_GET_CLAIMED);
        for (uint32_t i = 0; i < claimed; i++) {
            struct sm_zone *z = found[i].i_zone;
            if (sm_likely(z != NULL)) {
                uint64_t st = sm_load_rlx(found[i].i_word);
                /* Release: who reads this word sees q_head behind it. */
                sm_store_rel(found[i].i_word, (st & SM_ST_GEN_MASK) | z->z_low_held);
                items[k] = z->z_base + found[i].i_item + z->z_item_off;
                zones[k++] = z;
                sm_crash_point(a, STEP_GET_HELD);
            }
            /* Release: the word is HELD before a producer may use the place; pairs with the acquire in put_claim. */
            sm_store_rel(&ring_place(q, pos + i)->pl_turn, pos + i + q->q_mask + 1);
            sm_crash_point(a, STEP_GET_RELEASED);
        }
    }
leave:
    sm_op_leave(a);
    *got = k;
    return err;
}

/* Opens the zone that stopped an attempt; outside any operation, since its callbacks may have to be found. */
static enum sm_err get_open_zone(struct sm_queue *q, uint32_t zone_id) {
    struct sm_zone *z;
    enum sm_err err = sm_zone_by_id(q->q_arena, zone_id, &z);
    /* Not there: somebody took the item and destroyed its zone. Look again. */
    return err == SM_NOT_FOUND || err == SM_GONE ? SM_OK : err;
}

enum sm_err sm_ring_get_one(struct sm_queue *q, bool peek, struct sm_zone **zone, void **item) {
    uint32_t got, zone_id = 0;
    enum sm_err err;
    while (sm_unlikely((err = get_some(q, peek, 1, zone, item, &got, &zone_id)) == SM_UNRESOLVED)) {
        if ((err = get_open_zone(q, zone_id)) != SM_OK) {
            return err;
        }
    }
    return err;
}

enum sm_err sm_ring_get(struct sm_queue *q, bool peek, uint32_t n, struct sm_zone **zones, void **items,
                        uint32_t *got) {
    uint32_t zone_id = 0;
    *got = 0;
    while (*got < n) {
        uint32_t now = n - *got < SM_RING_CLAIM ? n - *got : SM_RING_CLAIM, some;
        enum sm_err err = get_some(q, peek, now, zones + *got, items + *got, &some, &zone_id);
        *got += some;
        if (err == SM_UNRESOLVED) {
            err = get_open_zone(q, zone_id);
        }
        if (err != SM_OK) {
            return *got > 0 ? SM_OK : err;
        }
    }
    return SM_OK;
}
