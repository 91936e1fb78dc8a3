/* mbuf_ext.c - storage outside the mbuf: clusters and other items, how they are attached, shared and let go. Takes no
 * lock; each change of a counter is one operation of this CPU.
 *
 * Crash windows (the CPU is dead, its mbufs are freed, counters are recounted from the mbufs that are left: I18):
 *   attach    storage ATTACHED, nobody refers to it yet       unreached: freed
 *   share     counter raised, M_EXT not set; or both           recounted
 *   release   M_EXT clear, storage still ATTACHED              unreached: freed
 *             storage HELD by the dead                         freed as any item
 */
#include <string.h>

#include "malloc.h"
#include "mbuf_impl.h"
#include "zone_impl.h"

enum mbuf_ext_step {
    STEP_CLUSTER_TAKEN = 0x820,
    STEP_CLUSTER_FILLED,
    STEP_CLUSTER_ATTACHED,
    STEP_COUNTED_UP,
    STEP_SHARED,
    STEP_COUNTED_DOWN,
    STEP_REZONED,
    STEP_STORAGE_HELD,
    STEP_STORAGE_ATTACHED,
    STEP_STORAGE_NAMED,
    STEP_CALLED_BACK
};

static bool type_zone(uint32_t type, enum sm_mb_zone *which) {
    switch (type) {
    case EXT_CLUSTER:
    case EXT_PACKET:
        *which = SM_MBZ_CLUSTER;
        return true;
    case EXT_JUMBOP:
        *which = SM_MBZ_JUMBOP;
        return true;
    case EXT_JUMBO9:
        *which = SM_MBZ_JUMBO9;
        return true;
    case EXT_JUMBO16:
        *which = SM_MBZ_JUMBO16;
        return true;
    default:
        return false;
    }
}

static uint32_t zone_type(enum sm_mb_zone which) {
    static const uint32_t type[SM_MBZ_COUNT] = {[SM_MBZ_CLUSTER] = EXT_CLUSTER,
                                                [SM_MBZ_JUMBOP] = EXT_JUMBOP,
                                                [SM_MBZ_JUMBO9] = EXT_JUMBO9,
                                                [SM_MBZ_JUMBO16] = EXT_JUMBO16};
    return type[which];
}

/* ---------------------------------------------------------------- clusters */

/* The counter of a slab's item whose word is known, by the page directory. */
static uint32_t *aux_of(const struct sm_zone *z, const struct sm_entry *e) {
    const struct sm_arena *a = z->z_arena;
    uint64_t entry = sm_load_rlx(&a->a_pagedir[(e->e_item - a->a_data_off) >> SM_PAGE_SHIFT]);
    uint8_t *block = a->a_meta + (uint64_t)SM_PG_BLK(entry) * SM_BLOCK_UNIT;
    uint64_t index = (uint64_t)(a->a_base + e->e_word - (block + z->z_keg->k_words_off)) / sizeof(uint64_t);
    return (uint32_t *)(void *)(block + z->z_keg->k_aux_off) + index;
}

/* Inside an operation; the cluster's word is ATTACHED already. */
static inline void refer(const struct sm_mb *mb, struct mbuf *m, const struct sm_entry *e, enum sm_mb_zone which,
                         uint32_t *count) {
    sm_store_rlx(count, 1);
    m->m_ext = (struct sm_mext){.me_buf = e->e_item,
                                .me_cnt = m_off(mb, count),
                                .me_size = mb->mb_zone[which]->z_item_bytes,
                                .me_type = zone_type(which)};
    sm_crash_point(mb->mb_arena, STEP_CLUSTER_FILLED);
    sm_compiler_barrier(); /* what M_EXT vouches for before M_EXT, as seen after a kill */
    sm_store_rlx(&m->m_flags, m->m_flags | M_EXT);
    sm_crash_point(mb->mb_arena, STEP_CLUSTER_ATTACHED);
}

/* From the bucket to the mbuf in one operation. */
static inline bool cluster_fast(struct sm_mb *mb, struct mbuf *m, enum sm_mb_zone which) {
    struct sm_zone *z = mb->mb_zone[which];
    struct sm_cpu_shm *cpu = z->z_raw_cpu;
    struct sm_entry e;
    bool done = false;
    sm_cache_say(cpu, z->z_op_alloc);
    sm_compiler_barrier(); /* pairs with membarrier in quiesce.c */
    if (sm_cache_unclaimed(cpu) &&
        sm_likely(sm_cache_take(z, (uint32_t)SM_ST_LOW(SM_ATTACHED, z->z_id, SM_CPU_NONE), &e))) {
        refer(mb, m, &e, which, aux_of(z, &e));
        done = true;
    }
    sm_cache_done(cpu);
    return done;
}

enum sm_err sm_mb_cluster(struct sm_mb *mb, struct mbuf *m, enum sm_mb_zone which, int how) {
    struct sm_zone *z = mb->mb_zone[which];
    uint64_t *word = NULL;
    uint32_t *count = NULL;
    void *mem = NULL;
    if (sm_likely(cluster_fast(mb, m, which))) {
        return SM_OK;
    }
    enum sm_err err = sm_zone_alloc(z, how, m, -1, &mem);
    mb->mb_err = err;
    if (err != SM_OK) {
        return err;
    }
    sm_crash_point(mb->mb_arena, STEP_CLUSTER_TAKEN);
    if ((err = sm_mb_word(mb, which, mem, &word)) == SM_OK && (err = sm_zone_find_refcnt(z, mem, &count)) == SM_OK &&
        (err = sm_op_enter(mb->mb_arena, sm_mb_op(m, mb))) == SM_OK) {
        struct sm_entry e = {m_off(mb, mem), m_off(mb, word)};
        sm_mb_attach(word);
        refer(mb, m, &e, which, count);
        sm_op_leave(mb->mb_arena);
        return SM_OK;
    }
    (void)sm_zone_free(z, mem, NULL);
    return err;
}

/* ---------------------------------------------------------------- counting */

static enum sm_err extref_of(const struct sm_mb *mb, const struct mbuf *m, struct sm_extref_shm **xr, uint64_t **word) {
    if (m->m_ext.me_ref == 0 || m->m_ext.me_ref >= mb->mb_arena->a_bytes) {
        return SM_CORRUPT;
    }
    *xr = sm_at(mb->mb_arena, m->m_ext.me_ref);
    enum sm_err err = sm_mb_word(mb, SM_MBZ_EXTREF, *xr, word);
    return err == SM_OK && SM_ST_KIND(sm_load_rlx(*word)) == SM_ATTACHED ? SM_OK : SM_CORRUPT;
}

/* Where the storage's word and counter are, if what the mbuf says about it can be. */
static enum sm_err storage_of(const struct sm_mb *mb, const struct mbuf *m, uint64_t **word, uint32_t **count) {
    enum sm_mb_zone which;
    if (m->m_ext.me_buf == 0 || m->m_ext.me_buf >= mb->mb_arena->a_bytes) {
        return SM_CORRUPT;
    }
    if (!type_zone(m->m_ext.me_type, &which)) {
        struct sm_extref_shm *xr;
        enum sm_err err = extref_of(mb, m, &xr, word);
        *count = err == SM_OK ? &xr->xr_count : NULL;
        return err;
    }
    if (sm_mb_word(mb, which, sm_at(mb->mb_arena, m->m_ext.me_buf), word) != SM_OK ||
        SM_ST_KIND(sm_load_rlx(*word)) != SM_ATTACHED) {
        return SM_CORRUPT;
    }
    struct sm_entry e = {m->m_ext.me_buf, m_off(mb, *word)};
    *count = aux_of(mb->mb_zone[which], &e);
    return SM_OK;
}

enum sm_err sm_mb_counter(const struct sm_mb *mb, const struct mbuf *m, uint32_t **count) {
    uint64_t *word;
    return m->m_flags & M_EXT ? storage_of(mb, m, &word, count) : SM_INVALID;
}

uint32_t m_refcnt(struct sm_mb *mb, const struct mbuf *m) {
    uint32_t *count;
    enum sm_err err = sm_mb_counter(mb, m, &count);
    if (err != SM_OK) {
        mb->mb_err = err;
        return 0;
    }
    return sm_load_acq(count);
}

bool m_writable(struct sm_mb *mb, const struct mbuf *m) {
    return !(m->m_flags & M_RDONLY) && (!(m->m_flags & M_EXT) || m_refcnt(mb, m) == 1);
}

void sm_mb_share_inside(struct sm_mb *mb, struct mbuf *n, const struct mbuf *m, uint32_t *count) {
    sm_add_acqrel(count, 1);
    sm_crash_point(mb->mb_arena, STEP_COUNTED_UP);
    n->m_ext = m->m_ext;
    sm_compiler_barrier();
    sm_store_rlx(&n->m_flags, n->m_flags | M_EXT | (m->m_flags & M_RDONLY));
    sm_crash_point(mb->mb_arena, STEP_SHARED);
}

enum sm_err sm_mb_share(struct sm_mb *mb, struct mbuf *n, const struct mbuf *m) {
    uint32_t *count;
    enum sm_err err = sm_mb_counter(mb, m, &count);
    if (err != SM_OK || (err = sm_op_enter(mb->mb_arena, sm_mb_op(n, mb))) != SM_OK) {
        return err;
    }
    sm_mb_share_inside(mb, n, m, count);
    sm_op_leave(mb->mb_arena);
    return SM_OK;
}

enum sm_err m_extaddref(struct sm_mb *mb, const struct mbuf *m, struct mbuf *n) {
    uint64_t *word;
    if (!(m->m_flags & M_EXT) || n->m_flags & M_EXT) {
        return SM_INVALID;
    }
    enum sm_err err = sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
    if (err == SM_OK && (err = sm_mb_held(mb, n, SM_MBZ_MBUF, &word)) == SM_OK &&
        (err = sm_mb_share(mb, n, m)) == SM_OK) {
        m_set(n, m->m_win.w_data, m_len(m));
    }
    return err;
}

/* ---------------------------------------------------------------- letting go */

/* Inside an operation: an mbuf moves between the two zones of its keg, as UMA lets an item be freed to either. Counters
 * follow; after a crash they are recounted. */
static void rezone(struct sm_mb *mb, uint64_t *word, enum sm_mb_zone to) {
    struct sm_zone *from = mb->mb_zone[to == SM_MBZ_MBUF ? SM_MBZ_PACKET : SM_MBZ_MBUF], *z = mb->mb_zone[to];
    sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | z->z_low_held);
    sm_crash_point(mb->mb_arena, STEP_REZONED);
    sm_bump(&from->z_cache->c_frees, 1);
    sm_bump(&z->z_cache->c_allocs, 1);
}

struct last { /* what the last reference leaves to be freed outside the operation */
    uint64_t *l_word; /* of a cluster */
    struct sm_zone *l_zone;
    sm_off_t l_buf, l_item, l_xr;
    uint32_t l_size;
    struct sm_extref_shm l_ref;
};

/* Inside an operation: the storage becomes this CPU's. */
static void last_hold(struct sm_mb *mb, const struct mbuf *m, uint64_t *word, struct last *l) {
    struct sm_arena *a = mb->mb_arena;
    uint64_t *item;
    l->l_buf = m->m_ext.me_buf;
    l->l_size = m->m_ext.me_size;
    l->l_item = m->m_ext.me_buf;
    enum sm_mb_zone which;
    if (type_zone(m->m_ext.me_type, &which)) {
        l->l_word = word;
        l->l_zone = mb->mb_zone[which];
    } else {
        struct sm_slab_ref s;
        l->l_xr = m->m_ext.me_ref;
        l->l_ref = *(const struct sm_extref_shm *)sm_at(a, l->l_xr);
        l->l_item = 0;
        if (sm_slab_find(a, l->l_ref.xr_item, &s) == SM_OK) {
            item = &s.sr_words[s.sr_index];
            if (SM_ST_KIND(sm_load_rlx(item)) == SM_ATTACHED) {
                sm_mb_hold(a, item);
                l->l_item = l->l_ref.xr_item;
            }
        }
    }
    sm_mb_hold(a, word); /* the cluster's, or the counter's */
    sm_crash_point(a, STEP_STORAGE_HELD);
}

/* An item of any zone, HELD by this CPU, whose first byte is at `item`. */
static enum sm_err give_item(struct sm_arena *a, sm_off_t item) {
    struct sm_slab_ref s;
    struct sm_zone *z = NULL;
    enum sm_err err = sm_slab_find(a, item, &s);
    if (err == SM_OK) {
        err = sm_zone_by_id(a, SM_ST_ZONE(sm_load_rlx(&s.sr_words[s.sr_index])), &z);
    }
    if (err != SM_OK) {
        return err;
    }
    void *mem = z->z_base + item + z->z_item_off;
    return z->z_flags & SM_ZONE_MALLOC ? sm_malloc_free(a, mem) : sm_zone_free(z, mem, NULL);
}

static enum sm_err last_free(struct sm_mb *mb, const struct last *l) {
    struct sm_arena *a = mb->mb_arena;
    enum sm_err err = SM_OK;
    if (l->l_word) {
        void *mem = sm_at(a, l->l_item);
        return sm_cache_free_raw(l->l_zone, mem, l->l_word) ? SM_OK : sm_zone_free(l->l_zone, mem, NULL);
    }
    if (l->l_ref.xr_free != 0 && l->l_ref.xr_free <= SM_EXTFREES) {
        uint32_t i = l->l_ref.xr_free - 1;
        uint64_t args[2] = {l->l_ref.xr_arg1, l->l_ref.xr_arg2};
        sm_callback_fn fn = sm_mb_callback(mb, "ext", SM_CB_EXTFREE, &mb->mb_shm->mb_extfree[i], &mb->mb_extfree_fn[i],
                                           &mb->mb_extfree_ctx[i]);
        if (fn != NULL) {
            a->a_inside++;
            (void)fn(sm_at(a, l->l_buf), l->l_size, args, 0, mb->mb_extfree_ctx[i]);
            a->a_inside--;
        }
        sm_crash_point(a, STEP_CALLED_BACK);
    }
    if (l->l_item != 0) {
        err = give_item(a, l->l_item);
    }
    enum sm_err counter = sm_zone_free(mb->mb_zone[SM_MBZ_EXTREF], sm_at(a, l->l_xr), NULL);
    return err == SM_OK ? counter : err;
}

enum sm_err sm_mb_release(struct sm_mb *mb, struct mbuf *m, uint64_t *word, bool *keep) {
    struct sm_arena *a = mb->mb_arena;
    uint64_t *storage = NULL;
    uint32_t *count = NULL;
    struct last l = {0};
    enum sm_err damage = storage_of(mb, m, &storage, &count);
    enum sm_err err = sm_op_enter(a, sm_mb_op(m, mb));
    if (err != SM_OK) {
        return err;
    }
    bool packet = word != NULL && SM_ST_ZONE(sm_load_rlx(word)) == mb->mb_zone[SM_MBZ_PACKET]->z_id;
    /* Acquire: the last one sees every byte that the others wrote; release: what this one wrote before it let go. */
    bool last = damage == SM_OK && (sm_load_acq(count) == 1 || sm_sub_acqrel(count, 1) == 1);
    sm_crash_point(a, STEP_COUNTED_DOWN);
    *keep = last && m->m_ext.me_type == EXT_PACKET && word != NULL;
    if (*keep) {
        sm_store_rlx(count, 1);
        if (!packet) {
            rezone(mb, word, SM_MBZ_PACKET);
        }
    } else {
        sm_store_rlx(&m->m_flags, m->m_flags & ~M_EXT);
        if (packet) {
            rezone(mb, word, SM_MBZ_MBUF);
        }
        if (last) {
            last_hold(mb, m, storage, &l);
        }
    }
    sm_op_leave(a);
    return damage != SM_OK ? damage : last && !*keep ? last_free(mb, &l) : SM_OK;
}

/* ---------------------------------------------------------------- storage of other zones */

/* buf .. buf + size inside the item, and the item this CPU's; its word. */
static enum sm_err storage_check(struct sm_mb *mb, struct sm_zone *z, const void *item, const void *buf, uint32_t size,
                                 uint64_t **word) {
    struct sm_arena *a = mb->mb_arena;
    uint64_t in = (uint64_t)((const uint8_t *)buf - (const uint8_t *)item), usable = z->z_item_bytes, asked;
    uint32_t type;
    enum sm_err err = sm_zone_lookup(z, item, word);
    if (err != SM_OK) {
        return err;
    }
    uint64_t w = sm_load_rlx(*word);
    if (SM_ST_ZONE(w) != z->z_id) {
        return SM_NOT_OURS;
    }
    if (SM_ST_KIND(w) != SM_HELD || SM_ST_CPU(w) != a->a_cpu_id) {
        a->a_blocker = SM_ST_KIND(w) == SM_HELD ? SM_ST_CPU(w) : SM_CPU_NONE;
        return SM_ST_KIND(w) <= SM_CACHED ? SM_STALE : SM_NOT_OWNER;
    }
    if (z->z_flags & SM_ZONE_MALLOC && (err = sm_malloc_usable(a, item, &asked, &usable, &type)) != SM_OK) {
        return err;
    }
    return in <= usable && size <= usable - in && size <= M_LEN_MAX ? SM_OK : SM_INVALID;
}

enum sm_err m_extadd(struct sm_mb *mb, struct mbuf *m, struct sm_zone *z, void *item, void *buf, uint32_t size,
                     const struct sm_callback_shm *cb, uint64_t arg1, uint64_t arg2, uint32_t flags, uint32_t type) {
    struct sm_arena *a = mb->mb_arena;
    uint64_t *word = NULL, *xr_word = NULL, *m_word = NULL;
    uint32_t place = 0;
    void *mem = NULL;
    if (m->m_flags & M_EXT || type < EXT_NET_DRV || z->z_flags & (SM_ZONE_MBUF | SM_ZONE_REFCNT) || flags & ~M_RDONLY ||
        z == mb->mb_zone[SM_MBZ_TAG] || z == mb->mb_zone[SM_MBZ_EXTREF]) {
        return SM_INVALID;
    }
    enum sm_err err = sm_mb_held(mb, m, SM_MBZ_MBUF, &m_word);
    if (err == SM_OK) {
        err = storage_check(mb, z, item, buf, size, &word);
    }
    if (err == SM_OK && cb != NULL) {
        sm_callback_fn fn = NULL;
        void *ctx = NULL;
        err = sm_zone_resolve_one(a, "ext", SM_CB_EXTFREE, cb, &fn, &ctx);
        sm_zone_unresolve_one(a, &ctx);
        err = err == SM_OK && fn == NULL ? SM_INVALID : err;
        err = err == SM_OK ? sm_mb_name(mb, mb->mb_shm->mb_extfree, SM_EXTFREES, cb, &place) : err;
    }
    if (err != SM_OK || (err = sm_zone_alloc(mb->mb_zone[SM_MBZ_EXTREF], SM_M_NOWAIT, NULL, -1, &mem)) != SM_OK) {
        return err;
    }
    struct sm_extref_shm *xr = mem;
    *xr = (struct sm_extref_shm){.xr_count = 1,
                                 .xr_free = cb ? place + 1 : 0,
                                 .xr_item = m_off(mb, item) - z->z_item_off,
                                 .xr_arg1 = arg1,
                                 .xr_arg2 = arg2};
    if ((err = sm_mb_word(mb, SM_MBZ_EXTREF, xr, &xr_word)) != SM_OK ||
        (err = sm_op_enter(a, sm_mb_op(m, mb))) != SM_OK) {
        (void)sm_zone_free(mb->mb_zone[SM_MBZ_EXTREF], mem, NULL);
        return err;
    }
    sm_mb_attach(word);
    sm_crash_point(a, STEP_STORAGE_ATTACHED);
    sm_mb_attach(xr_word);
    m->m_ext = (struct sm_mext){.me_buf = m_off(mb, buf),
                                .me_cnt = m_off(mb, &xr->xr_count),
                                .me_size = size,
                                .me_type = type,
                                .me_ref = m_off(mb, xr)};
    m_set(m, m_off(mb, buf), 0);
    sm_crash_point(a, STEP_STORAGE_NAMED);
    sm_compiler_barrier();
    sm_store_rlx(&m->m_flags, m->m_flags | M_EXT | flags);
    sm_op_leave(a);
    return SM_OK;
}
