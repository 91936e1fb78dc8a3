/* keg_grow.c - making and releasing slabs. init and fini run with no lock held and the op word clear: they may be
 * another language's, and may allocate. Until it is published a slab is RESERVED pages that only this CPU knows.
 */
#include "keg.h"

#include <limits.h>
#include <string.h>

#include "keg_list.h"
#include "quiesce.h"

enum grow_step {
    STEP_SLAB_ADMITTED = 0x220,
    STEP_SLAB_RESERVED,
    STEP_SLAB_FORMATTED,
    STEP_SLAB_PUBLISHED,
    STEP_SLAB_LINKED,
    STEP_SLAB_UNLINKED,
    STEP_SLAB_WITHDRAWN,
    STEP_SLAB_PAGES_GIVEN,
    STEP_RUN_WITHDRAWN
};

#define SEED_STEP 0x9e3779b1u /* odd: the seeds of one keg do not repeat before 2^32 slabs */

static uint64_t slow_op(uint32_t page) {
    return SM_OPWORD(SM_OP_SLOW, 0, (uint64_t)page + 1);
}

/* Counts one more slab against the limit and says which generation its words start with. */
static enum sm_err slab_admit(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki, uint32_t pages,
                              uint32_t *seed) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    enum sm_err err = sm_keg_lock(a, keg);
    if (err != SM_OK) {
        return err;
    }
    /* Under the lock that ends a keg, so a keg is not ended between here and its next look at k_slabs. */
    if (sm_load_acq(&k->k_state) != SM_KEG_LIVE || (ki && ki->ki_asker &&
                                                    (sm_load_acq(&ki->ki_asker->z_state) != SM_ZONE_LIVE ||
                                                     sm_load_rlx(&ki->ki_asker->z_gen) != ki->ki_asker_gen))) {
        err = SM_GONE;
    } else if (k->k_max_slabs != 0 && k->k_slabs >= k->k_max_slabs) {
        err = SM_LIMIT;
    } else {
        sm_store_rlx(&k->k_slabs, k->k_slabs + 1); /* sleepers look without the lock */
        k->k_pages_used += pages;
        *seed = k->k_gen_seed += SEED_STEP;
    }
    sm_keg_unlock(a, keg);
    return err;
}

/* The slab is no more: room under the limit for somebody asleep. */
static enum sm_err slab_dismiss(struct sm_arena *a, uint32_t keg, uint32_t pages) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    enum sm_err err = sm_keg_lock(a, keg);
    if (err == SM_OK) {
        sm_store_rlx(&k->k_slabs, k->k_slabs - 1);
        k->k_pages_used -= pages;
        sm_keg_wake(a, keg, INT_MAX);
        sm_keg_unlock(a, keg);
    } else if (err == SM_STALLED) {
        sm_keg_spoil(a, keg); /* the recount finds one slab less */
        err = SM_OK;
    }
    return err;
}

/* Admission and pages, in one operation. */
static enum sm_err slab_reserve_once(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki, uint32_t pages,
                                     struct sm_slab_ref *s, uint32_t *seed) {
    enum sm_err err = sm_op_enter(a, slow_op(0));
    if (err != SM_OK) {
        return err;
    }
    if ((err = slab_admit(a, keg, ki, pages, seed)) == SM_OK) {
        sm_crash_point(a, STEP_SLAB_ADMITTED);
    }
    if (err == SM_OK && (err = sm_page_take(a, pages, keg, &s->sr_page, &s->sr_block)) != SM_OK) {
        (void)slab_dismiss(a, keg, pages);
    }
    sm_op_leave(a);
    return err;
}

static enum sm_err slab_reserve(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki, uint32_t pages,
                                struct sm_slab_ref *s, uint32_t *seed) {
    enum sm_err err;
    int tries = 0;
    do {
        err = slab_reserve_once(a, keg, ki, pages, s, seed);
    } while (sm_op_again(a, &err, &tries));
    return err;
}

/* Pages and block go back, the slab is counted no more. When a lock's holder died in between, recovery has recounted:
 * what was given back is no slab any more. */
static enum sm_err slab_return_once(struct sm_arena *a, const struct sm_slab_ref *s, bool *given) {
    enum sm_err err = sm_op_enter(a, slow_op(s->sr_page));
    if (err != SM_OK) {
        return err; /* the pages stay RESERVED under this CPU, and return when it leaves or is reaped */
    }
    if ((err = sm_page_give(a, s->sr_page, s->sr_pages, s->sr_keg, s->sr_block)) == SM_OK) {
        *given = true;
        sm_crash_point(a, STEP_SLAB_PAGES_GIVEN);
        err = slab_dismiss(a, s->sr_keg, s->sr_pages);
    }
    sm_op_leave(a);
    return err;
}

static enum sm_err slab_return(struct sm_arena *a, const struct sm_slab_ref *s) {
    enum sm_err err;
    bool given = false;
    int tries = 0;
    do {
        err = slab_return_once(a, s, &given);
    } while (sm_op_again(a, &err, &tries) && !given);
    return err;
}

static void slab_bind(struct sm_arena *a, uint32_t keg, uint32_t pages, struct sm_slab_ref *s) {
    const struct sm_keg_shm *k = &a->a_kegs[keg];
    uint8_t *block = sm_block_mem(a, s->sr_block);
    s->sr_keg = keg;
    s->sr_pages = pages;
    s->sr_slab =
        (struct sm_slab_shm *)((k->k_flags & SM_KEG_OFFPAGE ? block : sm_page_mem(a, s->sr_page)) + k->k_hdr_off);
    s->sr_words = (uint64_t *)(block + k->k_words_off);
    s->sr_aux = k->k_aux_off ? (uint32_t *)(block + k->k_aux_off) : NULL;
}

static void slab_format(struct sm_arena *a, const struct sm_slab_ref *s, uint32_t seed, uint64_t low) {
    uint32_t items = a->a_kegs[s->sr_keg].k_items;
    s->sr_slab->s_free = (uint16_t)items;
    s->sr_slab->s_hint = 0;
    s->sr_slab->s_pages = s->sr_pages;
    for (uint32_t i = 0; i < items; i++) {
        sm_store_rlx(&s->sr_words[i], (uint64_t)seed << SM_ST_GEN_SHIFT | low);
        if (s->sr_aux) {
            s->sr_aux[i] = 0;
        }
    }
    if (a->a_kegs[s->sr_keg].k_trace_off != 0) {
        struct sm_slab_ref first = *s; /* the block may have been another keg's: its records must name no site (I17) */
        first.sr_index = 0;
        struct sm_trace_shm *t = sm_slab_trace(a, &first);
        memset(t, 0, items * sizeof *t);
    }
}

/* Runs one callback over one item of an unpublished slab. */
static int run_item(struct sm_arena *a, const struct sm_slab_ref *s, uint32_t i, const struct sm_keg_init *ki,
                    sm_callback_fn fn, void *ctx) {
    a->a_inside++;
    int rc = fn(a->a_base + sm_slab_item(a, s, i) + ki->ki_item_off, ki->ki_item_bytes, NULL, ki->ki_how, ctx);
    a->a_inside--;
    return rc;
}

static void fini_down(struct sm_arena *a, const struct sm_slab_ref *s, uint32_t n, const struct sm_keg_init *ki) {
    while (ki->ki_fini && n-- > 0) {
        (void)run_item(a, s, n, ki, ki->ki_fini, ki->ki_fini_ctx);
    }
}

static enum sm_err init_up(struct sm_arena *a, const struct sm_slab_ref *s, const struct sm_keg_init *ki) {
    uint32_t items = a->a_kegs[s->sr_keg].k_items;
    for (uint32_t i = 0; i < items; i++) {
        enum sm_err err = sm_fault_callback(a, SM_FP_INIT, ki->ki_zone, ki->ki_item_bytes, ki->ki_how);
        if (err == SM_OK && ki->ki_init) {
            int rc = run_item(a, s, i, ki, ki->ki_init, ki->ki_init_ctx);
            if (rc != 0) {
                a->a_callback_errno = rc;
                err = SM_INIT_FAILED;
            }
        }
        if (err != SM_OK) {
            fini_down(a, s, i, ki); /* i-1 .. 0, in reverse */
            return err;
        }
    }
    return SM_OK;
}

static enum sm_err slab_publish_once(struct sm_arena *a, const struct sm_slab_ref *s) {
    struct sm_keg_shm *k = &a->a_kegs[s->sr_keg];
    enum sm_err err = sm_op_enter(a, slow_op(s->sr_page));
    if (err != SM_OK) {
        return err;
    }
    if ((err = sm_keg_lock(a, s->sr_keg)) == SM_OK) {
        /* A crash before the head entry is stored leaves RESERVED pages of a dead CPU: free. After it: a slab on no
         * list, found by the scan of the page directory. */
        sm_page_publish(a, s->sr_page, s->sr_pages, SM_PG_SLAB, s->sr_keg, s->sr_block);
        sm_crash_point(a, STEP_SLAB_PUBLISHED);
        sm_keg_link(a, s);
        sm_crash_point(a, STEP_SLAB_LINKED);
        k->k_free += s->sr_slab->s_free;
        sm_keg_wake(a, s->sr_keg, INT_MAX);
        sm_keg_unlock(a, s->sr_keg);
    }
    sm_op_leave(a);
    return err;
}

static enum sm_err slab_publish(struct sm_arena *a, const struct sm_slab_ref *s) {
    enum sm_err err;
    int tries = 0;
    do {
        err = slab_publish_once(a, s);
    } while (sm_op_again(a, &err, &tries));
    return err;
}

enum sm_err sm_keg_grow(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki) {
    struct sm_slab_ref s = {0};
    uint32_t pages = a->a_kegs[keg].k_pages, seed = 0;
    enum sm_err err = sm_fault(a, SM_FP_SLAB, ki->ki_zone, (uint64_t)pages << SM_PAGE_SHIFT, ki->ki_how);
    if (err != SM_OK || (err = slab_reserve(a, keg, ki, pages, &s, &seed)) != SM_OK) {
        return err;
    }
    sm_crash_point(a, STEP_SLAB_RESERVED);
    slab_bind(a, keg, pages, &s);
    if (ki->ki_zero) {
        memset(sm_page_mem(a, s.sr_page), 0, (uint64_t)pages << SM_PAGE_SHIFT);
    }
    slab_format(a, &s, seed, SM_FREE);
    sm_crash_point(a, STEP_SLAB_FORMATTED);
    if ((err = init_up(a, &s, ki)) == SM_OK && (err = slab_publish(a, &s)) != SM_OK) {
        fini_down(a, &s, a->a_kegs[keg].k_items, ki);
    }
    if (err != SM_OK) {
        (void)slab_return(a, &s);
    }
    return err;
}

/* Withdraws one empty slab; SM_EMPTY when there are no more than `keep`. */
static enum sm_err slab_withdraw_once(struct sm_arena *a, uint32_t keg, uint64_t keep, uint64_t reserve,
                                      struct sm_slab_ref *s) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    enum sm_err err = sm_op_enter(a, slow_op(0));
    if (err != SM_OK) {
        return err;
    }
    if ((err = sm_keg_lock(a, keg)) == SM_OK) {
        if (k->k_empty == 0 || k->k_empty_slabs <= keep || k->k_free < reserve + k->k_items) {
            err = SM_EMPTY;
        } else if ((err = sm_slab_at(a, k->k_empty - 1, s)) == SM_OK) {
            sm_keg_unlink(a, s);
            sm_crash_point(a, STEP_SLAB_UNLINKED);
            k->k_free -= k->k_items;
            sm_page_withdraw(a, s->sr_page, s->sr_pages, s->sr_block);
            sm_crash_point(a, STEP_SLAB_WITHDRAWN);
        }
        sm_keg_unlock(a, keg);
    }
    sm_op_leave(a);
    return err;
}

static enum sm_err slab_withdraw(struct sm_arena *a, uint32_t keg, uint64_t keep, uint64_t reserve,
                                 struct sm_slab_ref *s) {
    enum sm_err err;
    int tries = 0;
    do {
        err = slab_withdraw_once(a, keg, keep, reserve, s);
    } while (sm_op_again(a, &err, &tries));
    return err;
}

static enum sm_err release(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki, uint64_t keep,
                           uint64_t reserve, uint64_t *slabs) {
    enum sm_err err = SM_OK;
    *slabs = 0;
    while (err == SM_OK) {
        struct sm_slab_ref s = {0};
        if ((err = slab_withdraw(a, keg, keep, reserve, &s)) == SM_OK) {
            fini_down(a, &s, a->a_kegs[keg].k_items, ki);
            err = slab_return(a, &s);
            *slabs += err == SM_OK;
        }
    }
    return err == SM_EMPTY ? SM_OK : err;
}

enum sm_err sm_keg_trim(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki, uint64_t keep,
                        uint64_t *slabs) {
    *slabs = 0;
    if (a->a_kegs[keg].k_flags & (SM_KEG_NOFREE | SM_KEG_RUNS)) {
        return SM_OK;
    }
    return release(a, keg, ki, keep, a->a_kegs[keg].k_reserve, slabs);
}

enum sm_err sm_keg_release_all(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki, uint64_t *slabs) {
    return release(a, keg, ki, 0, 0, slabs);
}

enum sm_err sm_keg_run_take(struct sm_arena *a, uint32_t keg, uint32_t pages, uint64_t low, struct sm_entry *out) {
    struct sm_slab_ref s = {0};
    uint32_t seed = 0;
    enum sm_err err = slab_reserve(a, keg, NULL, pages, &s, &seed);
    if (err != SM_OK) {
        return err;
    }
    slab_bind(a, keg, pages, &s);
    slab_format(a, &s, seed, low);
    s.sr_slab->s_free = 0;
    if ((err = slab_publish(a, &s)) != SM_OK) {
        (void)slab_return(a, &s);
        return err;
    }
    *out = (struct sm_entry){sm_slab_item(a, &s, 0), sm_off_of(a, s.sr_words)};
    return SM_OK;
}

/* Without the lock: no slab any more, still on the keg's list, whose holder may be at work beside it. So its pages, and with
 * them their links, come to nobody before both locks' data is rebuilt, with the world stopped. */
static enum sm_err run_disown(struct sm_arena *a, uint32_t keg, struct sm_entry e, struct sm_slab_ref *s) {
    enum sm_err err = sm_slab_find(a, e.e_item, s);
    if (err == SM_OK) {
        sm_page_withdraw(a, s->sr_page, s->sr_pages, s->sr_block);
        sm_crash_point(a, STEP_RUN_WITHDRAWN);
        sm_page_disown(a, s->sr_page, s->sr_pages);
        sm_keg_spoil(a, keg);
    }
    return err;
}

/* *given: pages and count are dealt with, too. */
static enum sm_err run_withdraw_once(struct sm_arena *a, uint32_t keg, struct sm_entry e, struct sm_slab_ref *s,
                                     bool *given) {
    enum sm_err err = sm_op_enter(a, SM_OPWORD(SM_OP_FREE, 0, SM_OP_ITEM(e.e_item)));
    if (err != SM_OK) {
        return err;
    }
    if ((err = sm_keg_lock(a, keg)) == SM_OK) {
        if ((err = sm_slab_find(a, e.e_item, s)) == SM_OK) {
            sm_keg_unlink(a, s);
            /* The store of the head entry is the free: from here on nobody finds the item. */
            sm_page_withdraw(a, s->sr_page, s->sr_pages, s->sr_block);
            sm_crash_point(a, STEP_RUN_WITHDRAWN);
        }
        sm_keg_unlock(a, keg);
    } else if (err == SM_STALLED) {
        err = run_disown(a, keg, e, s);
        *given = true;
    }
    sm_op_leave(a);
    return err;
}

enum sm_err sm_keg_run_give(struct sm_arena *a, uint32_t keg, struct sm_entry e) {
    struct sm_slab_ref s = {0};
    enum sm_err err;
    bool given = false;
    int tries = 0;
    do {
        err = run_withdraw_once(a, keg, e, &s, &given);
    } while (sm_op_again(a, &err, &tries));
    return err == SM_OK && !given ? slab_return(a, &s) : err;
}
