/* zone_free.c - freeing beyond the fast path, and saying exactly what is wrong with a bad free. Takes the keg lock in
 * sections; runs dtors and zone finis outside them. A free never fails for want of anything: when a live peer keeps the
 * lock, the item goes without it (sm_keg_give_stalled).
 */
#include <limits.h>

#include "quiesce.h"
#include "tag.h"
#include "zone_impl.h"

enum zone_free_step { STEP_DESTRUCTING = 0x320, STEP_DESTRUCTED, STEP_PUT_AWAY, STEP_GIVEN_UP };

/* Why is this word not an item of ours to give away? SM_OK: it is. */
static enum sm_err word_verdict(const struct sm_zone *z, uint64_t w) {
    struct sm_arena *a = z->z_arena;
    uint32_t zone = SM_ST_ZONE(w), cpu = SM_ST_CPU(w);
    switch (SM_ST_KIND(w)) {
    case SM_FREE:
        return SM_DOUBLE_FREE;
    case SM_CACHED:
        return zone == z->z_id ? SM_DOUBLE_FREE : SM_NOT_OURS;
    case SM_CONSTRUCTING:
        return zone == z->z_id ? SM_IN_CALLBACK : SM_NOT_OURS;
    case SM_HELD:
        if (zone != z->z_id) {
            return SM_NOT_OURS;
        }
        a->a_blocker = cpu;
        return a->a_forked ? SM_FORKED : cpu == a->a_cpu_id ? SM_OK : SM_NOT_OWNER;
    case SM_QUEUED:
    case SM_TICKETED:
    case SM_ATTACHED:
        a->a_blocker = SM_CPU_NONE;
        return zone == z->z_id ? SM_NOT_OWNER : SM_NOT_OURS;
    default:
        return SM_CORRUPT;
    }
}

enum sm_err sm_zone_lookup(const struct sm_zone *z, const void *item, uint64_t **word) {
    const struct sm_arena *a = z->z_arena;
    uint64_t off = (uint64_t)((const uint8_t *)item - a->a_base);
    struct sm_slab_ref s;
    if (off < a->a_data_off + z->z_item_off || off >= a->a_bytes) {
        return SM_NOT_OURS;
    }
    enum sm_err err = sm_slab_find(a, off - z->z_item_off, &s);
    if (err == SM_OK && s.sr_keg != z->z_keg_id) {
        return SM_NOT_OURS;
    }
    if (err == SM_OK) {
        *word = &s.sr_words[s.sr_index];
    }
    return err;
}

/* The dtor's side: debug checks, dtor, trash fill. The word is CONSTRUCTING while it runs. */
static enum sm_err destruct(struct sm_zone *z, sm_off_t item, uint64_t *word, void *arg) {
    enum sm_err err = SM_OK;
    /* A crash from here on: CONSTRUCTING, recovery does not run the dtor a second time. */
    sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | z->z_low_constructing);
    sm_crash_point(z->z_arena, STEP_DESTRUCTING);
    if (z->z_flags & SM_ZONE_REDZONE) {
        err = sm_debug_redzone_check(z, item);
    }
    if (z->z_fn[SM_CB_DTOR]) {
        (void)sm_zone_run(z, SM_CB_DTOR, item, arg, 0);
    }
    if (z->z_flags & SM_ZONE_TRASH) {
        sm_debug_trash(z, item);
    }
    sm_crash_point(z->z_arena, STEP_DESTRUCTED);
    return err;
}

/* Past the dtor: into a bucket with room, or into the slab while somebody sleeps or buckets are not to be had. */
static enum sm_err put_away(struct sm_zone *z, sm_off_t item, uint64_t *word) {
    struct sm_entry e = {item, sm_off_of(z->z_arena, word)};
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_FREE, z->z_id, SM_OP_ITEM(item)));
    if (err == SM_STALLED) { /* its user has nothing to do with it any more, and its dtor may have run: it goes */
        sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | z->z_low_constructing);
        sm_crash_point(z->z_arena, STEP_GIVEN_UP);
        return sm_zone_retire_stalled(z, &e, 1, true, true);
    }
    if (err != SM_OK) {
        return err;
    }
    struct sm_cache_shm *c = z->z_cache;
    bool bypass = !sm_zone_room(z);
    if (!bypass) {
        sm_bucket_at(z->z_arena, c->c_alloc)->b_entry[c->c_alloc_n] = e;
        sm_store_rlx(word, ((sm_load_rlx(word) & SM_ST_GEN_MASK) + SM_ST_GEN_ONE) | z->z_low_cached);
        sm_crash_point(z->z_arena, STEP_PUT_AWAY);
        sm_store_rlx(&c->c_alloc_n, c->c_alloc_n + 1);
        sm_bump(&c->c_frees, 1);
    } else if (!sm_zone_has_zinit(z)) {
        err = sm_keg_give(z->z_arena, z->z_keg_id, e, true);
        sm_bump(&c->c_frees, 1);
        sm_keg_wake(z->z_arena, z->z_keg_id, 1);
    } else {
        sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | z->z_low_constructing);
    }
    sm_zone_leave(z);
    return bypass && sm_zone_has_zinit(z) ? sm_zone_retire(z, &e, 1, true, true) : err;
}

static enum sm_err run_free(struct sm_zone *z, sm_off_t item, uint64_t *word) {
    /* Counted when the tag was cleared. */
    return sm_keg_run_give(z->z_arena, z->z_keg_id, (struct sm_entry){item, sm_off_of(z->z_arena, word)});
}

enum sm_err sm_zone_free_item(struct sm_zone *z, void *mem, void *arg) {
    struct sm_arena *a = z->z_arena;
    sm_off_t item = (sm_off_t)((uint8_t *)mem - z->z_base) - z->z_item_off;
    uint64_t *word = NULL;
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    if (z->z_shm->z_gen != z->z_gen) {
        return SM_GONE;
    }
    sm_zone_widen(z);
    enum sm_err err = sm_zone_lookup(z, mem, &word);
    if (err != SM_OK || (err = word_verdict(z, sm_load_rlx(word))) != SM_OK) {
        return err;
    }
    if (z->z_flags & SM_ZONE_MALLOC) {
        struct sm_slab_ref s;
        if ((err = sm_slab_find(a, item, &s)) != SM_OK ||
            (err = sm_tag_clear(a, &s, z->z_flags & SM_ZONE_RUNS ? z->z_cache : NULL)) != SM_OK) {
            return err;
        }
    }
    enum sm_err damage = SM_OK;
    if (z->z_fn[SM_CB_DTOR] || z->z_flags & (SM_ZONE_TRASH | SM_ZONE_REDZONE)) {
        damage = destruct(z, item, word, arg);
        if (!(z->z_flags & SM_ZONE_RUNS) && sm_cache_push(z, z->z_low_constructing, item, word)) {
            return damage;
        }
    } else if (!(z->z_flags & SM_ZONE_RUNS) && sm_cache_push(z, z->z_low_held, item, word)) {
        return SM_OK;
    }
    err = z->z_flags & SM_ZONE_RUNS ? run_free(z, item, word) : put_away(z, item, word);
    return err == SM_OK ? damage : err;
}

static enum sm_err free_slow(struct sm_zone *z, void *mem, void *arg) {
    struct sm_arena *a = z->z_arena;
    return z->z_flags & SM_ZONE_MBUF ? a->a_mfree(a, mem) : sm_zone_free_item(z, mem, arg);
}

enum sm_err sm_zone_free(struct sm_zone *z, void *item, void *arg) {
    if (item == NULL || sm_cache_free(z, item)) {
        return SM_OK;
    }
    return free_slow(z, item, arg);
}

enum sm_err sm_zone_free_bulk(struct sm_zone *z, uint32_t n, void *const *items, uint32_t *done) {
    *done = 0;
    while (*done < n) {
        *done += sm_cache_free_bulk(z, n - *done, items + *done);
        if (*done < n) {
            enum sm_err err = free_slow(z, items[*done], NULL);
            if (err != SM_OK && err != SM_MODIFIED) {
                return err;
            }
            (*done)++;
        }
    }
    return SM_OK;
}
