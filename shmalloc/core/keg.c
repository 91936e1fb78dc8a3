/* keg.c - slab lists and items of one keg. Takes the keg lock; never calls a ctor. After UMA's keg_*.
 * Making and releasing slabs, where callbacks run, is keg_grow.c; the layout rule is keg_layout.c.
 */
#include "keg.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "keg_list.h"
#include "quiesce.h"

enum keg_step { STEP_ITEMS_TAKEN = 0x200, STEP_ITEM_GIVEN, STEP_KEG_FILLED, STEP_KEG_LIVE, STEP_KEG_EMPTY };

enum sm_err sm_keg_lock(struct sm_arena *a, uint32_t keg) {
    return sm_arena_lock(a, &a->a_kegs[keg].k_lock, SM_LC_KEG, keg);
}

void sm_keg_unlock(struct sm_arena *a, uint32_t keg) {
    sm_arena_unlock(a, &a->a_kegs[keg].k_lock, SM_LC_KEG, keg);
}

uint32_t *sm_keg_list(struct sm_arena *a, uint32_t keg, uint32_t free_items) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    return free_items == 0 ? &k->k_full : free_items == k->k_items ? &k->k_empty : &k->k_partial;
}

void sm_keg_link(struct sm_arena *a, const struct sm_slab_ref *s) {
    struct sm_keg_shm *k = &a->a_kegs[s->sr_keg];
    uint32_t *head = sm_keg_list(a, s->sr_keg, s->sr_slab->s_free);
    struct sm_page_link_shm *link = &a->a_links[s->sr_page];
    link->pl_prev = 0;
    link->pl_next = *head;
    if (*head) {
        a->a_links[*head - 1].pl_prev = s->sr_page + 1;
    }
    *head = s->sr_page + 1;
    k->k_empty_slabs += s->sr_slab->s_free == k->k_items;
}

void sm_keg_unlink(struct sm_arena *a, const struct sm_slab_ref *s) {
    struct sm_keg_shm *k = &a->a_kegs[s->sr_keg];
    struct sm_page_link_shm *link = &a->a_links[s->sr_page];
    if (link->pl_prev) {
        a->a_links[link->pl_prev - 1].pl_next = link->pl_next;
    } else {
        *sm_keg_list(a, s->sr_keg, s->sr_slab->s_free) = link->pl_next;
    }
    if (link->pl_next) {
        a->a_links[link->pl_next - 1].pl_prev = link->pl_prev;
    }
    k->k_empty_slabs -= s->sr_slab->s_free == k->k_items;
}

/* Gives a slab's header its new free count and moves it to the list that belongs to it. A crash in between leaves it on
 * no list, or on two: the lists are rebuilt from the state words (I4). */
static void slab_recount(struct sm_arena *a, const struct sm_slab_ref *s, uint32_t free_items) {
    uint32_t items = a->a_kegs[s->sr_keg].k_items;
    uint32_t was = s->sr_slab->s_free;
    bool moves = (was == 0) != (free_items == 0) || (was == items) != (free_items == items);
    if (moves) {
        sm_keg_unlink(a, s);
    }
    s->sr_slab->s_free = (uint16_t)free_items;
    if (moves) {
        sm_keg_link(a, s);
    }
}

uint32_t sm_keg_take(struct sm_arena *a, uint32_t keg, uint64_t low, bool use_reserve, uint32_t n,
                     struct sm_entry *out) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    uint64_t spare = use_reserve ? k->k_free : k->k_free > k->k_reserve ? k->k_free - k->k_reserve : 0;
    uint32_t got = 0;
    n = n < spare ? n : (uint32_t)spare;
    while (got < n) {
        uint32_t at = k->k_partial ? k->k_partial : k->k_empty;
        struct sm_slab_ref s;
        if (at == 0 || sm_slab_at(a, at - 1, &s) != SM_OK) {
            break;
        }
        uint32_t i = s.sr_slab->s_hint, left = s.sr_slab->s_free, before = got;
        for (; i < k->k_items && got < n && left > 0; i++) {
            uint64_t w = sm_load_rlx(&s.sr_words[i]);
            if (SM_ST_KIND(w) == SM_FREE) {
                /* The store is the transition; counts and lists below are derived from it (I4, I5). */
                sm_store_rlx(&s.sr_words[i], (w & SM_ST_GEN_MASK) | low);
                out[got++] = (struct sm_entry){sm_slab_item(a, &s, i), sm_off_of(a, &s.sr_words[i])};
                left--;
            }
        }
        if (got == before) {
            break; /* a damaged count: check reports it, allocation goes on without this slab */
        }
        sm_crash_point(a, STEP_ITEMS_TAKEN);
        s.sr_slab->s_hint = (uint16_t)i;
        slab_recount(a, &s, left);
        k->k_free -= got - before;
    }
    return got;
}

/* The word alone, which is the truth. */
static enum sm_err word_give(struct sm_arena *a, uint32_t keg, struct sm_entry e, bool bump, struct sm_slab_ref *s) {
    enum sm_err err = sm_slab_find(a, e.e_item, s);
    if (err != SM_OK) {
        return err;
    }
    SM_CHECK(s->sr_keg == keg && sm_off_of(a, &s->sr_words[s->sr_index]) == e.e_word);
    uint64_t w = sm_load_rlx(&s->sr_words[s->sr_index]);
    SM_CHECK(SM_ST_KIND(w) != SM_FREE);
    if (s->sr_aux) {
        s->sr_aux[s->sr_index] = 0;
    }
    /* Release: the lock's holder may take the item the moment it is free, when it is given without the lock. */
    sm_store_rel(&s->sr_words[s->sr_index], (w & SM_ST_GEN_MASK) + (bump ? SM_ST_GEN_ONE : 0) + SM_FREE);
    sm_crash_point(a, STEP_ITEM_GIVEN);
    return SM_OK;
}

void sm_keg_spoil(struct sm_arena *a, uint32_t keg) {
    sm_arena_spoil(&a->a_kegs[keg].k_lock);
    sm_keg_wake(a, keg, INT_MAX); /* a sleeper's next look at the slabs has them rebuilt */
}

void sm_keg_give_stalled(struct sm_arena *a, uint32_t keg, const struct sm_entry *e, uint32_t n, bool bump) {
    struct sm_slab_ref s;
    for (uint32_t i = 0; i < n; i++) {
        (void)word_give(a, keg, e[i], bump, &s);
    }
    sm_keg_spoil(a, keg);
}

enum sm_err sm_keg_give(struct sm_arena *a, uint32_t keg, struct sm_entry e, bool bump) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    struct sm_slab_ref s;
    enum sm_err err = word_give(a, keg, e, bump, &s);
    if (err != SM_OK) {
        return err;
    }
    if (s.sr_index < s.sr_slab->s_hint) {
        s.sr_slab->s_hint = (uint16_t)s.sr_index;
    }
    slab_recount(a, &s, s.sr_slab->s_free + 1u);
    k->k_free++;
    return SM_OK;
}

void sm_keg_wake(struct sm_arena *a, uint32_t keg, int count) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    if (sm_load_rlx(&k->k_waiters) != 0) {
        sm_add_acqrel(&k->k_seq, 1); /* pairs with the acquire load before a sleeper's last look */
        sm_os_futex_wake(&k->k_seq, count);
    }
}

enum sm_err sm_keg_create(struct sm_arena *a, const struct sm_keg_params *p, uint32_t *keg) {
    struct sm_keg_shm fields = {0};
    uint32_t i = 0, n = a->a_header->h_max_zones;
    enum sm_err err = sm_keg_layout(&fields, p);
    if (err != SM_OK) {
        return err;
    }
    while (i < n && a->a_kegs[i].k_state != SM_KEG_FREE) {
        i++;
    }
    if (i == n) {
        return SM_TABLE_FULL;
    }
    struct sm_keg_shm *k = &a->a_kegs[i];
    /* The lock stays what it is; everything behind it starts anew but the state blocks, which the keg number keeps. */
    uint32_t seed = k->k_gen_seed;
    memcpy((uint8_t *)k + sizeof k->k_lock, (uint8_t *)&fields + sizeof k->k_lock, sizeof *k - sizeof k->k_lock);
    k->k_gen_seed = seed ? seed : (uint32_t)sm_os_random();
    sm_crash_point(a, STEP_KEG_FILLED);
    sm_store_rel(&k->k_state, SM_KEG_LIVE);
    sm_crash_point(a, STEP_KEG_LIVE);
    *keg = i;
    return SM_OK;
}

enum sm_err sm_keg_destroy(struct sm_arena *a, uint32_t keg) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    enum sm_err err = sm_keg_lock(a, keg); /* no slab is admitted between the look at the count and the end */
    if (err != SM_OK) {
        return err;
    }
    if (k->k_slabs != 0) {
        err = SM_BUSY;
    } else if ((err = sm_block_release(a, keg)) == SM_OK) {
        sm_crash_point(a, STEP_KEG_EMPTY);
        sm_store_rel(&k->k_state, SM_KEG_FREE);
    }
    sm_keg_unlock(a, keg);
    return err;
}
