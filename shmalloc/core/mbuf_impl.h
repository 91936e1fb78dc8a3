/* mbuf_impl.h - what the mbuf*.c, sockbuf*.c and mac*.c files share. Private to them and to recovery and check.
 *
 * The rule behind every function here: between two operations of a CPU (op word 0) the truth is whole. An mbuf that is
 * HELD may be in any private condition; but a storage's counter, the M_EXT that refers to it and its ATTACHED word
 * agree, and so do a tag chain and its tags' words. Whatever changes two of these does it inside one operation.
 */
#ifndef SM_MBUF_IMPL_H
#define SM_MBUF_IMPL_H

#include "cache.h"
#include "mbuf.h"
#include "quiesce.h"
#include "slab.h"

struct sm_mb_args { /* arg of the native ctors of mbuf and packet zones; NULL means MT_DATA without flags */
    struct sm_mb *ma_mb;
    uint32_t ma_flags; /* M_PKTHDR or 0 */
    int ma_type;
};

static inline uint64_t sm_mb_op(const void *m, const struct sm_mb *mb) {
    return SM_OPWORD(SM_OP_SLOW, 0, SM_OP_ITEM(m_off(mb, m)));
}
static inline void *sm_mb_fail(struct sm_mb *mb, enum sm_err err) {
    mb->mb_err = err;
    return NULL;
}

/* ---- state words. The item must be one of the mbuf layer's zones. */

/* The word of an item of this zone's keg; SM_NOT_OURS, SM_MISALIGNED. */
enum sm_err sm_mb_word(const struct sm_mb *mb, enum sm_mb_zone which, const void *item, uint64_t **word);
/* Is this mbuf HELD by this CPU? SM_OK, or why it is not to be touched: SM_DOUBLE_FREE, SM_NOT_OWNER, SM_FORKED, ... */
enum sm_err sm_mb_held(const struct sm_mb *mb, const void *item, enum sm_mb_zone which, uint64_t **word);
static inline uint64_t sm_word_attached(uint64_t w) { /* leaves its user: a handle of it grows stale */
    return ((w & SM_ST_GEN_MASK) + SM_ST_GEN_ONE) | SM_ST_LOW(SM_ATTACHED, SM_ST_ZONE(w), SM_CPU_NONE);
}
static inline uint64_t sm_word_held(const struct sm_arena *a, uint64_t w) {
    return (w & SM_ST_GEN_MASK) | SM_ST_LOW(SM_HELD, SM_ST_ZONE(w), a->a_cpu_id);
}
/* Inside an operation: HELD by this CPU becomes ATTACHED, and back. Release and acquire: the item's bytes travel with
 * its word. The caller has made sure that the word is what it must be. */
static inline void sm_mb_attach(uint64_t *word) {
    sm_store_rel(word, sm_word_attached(sm_load_rlx(word)));
}
static inline void sm_mb_hold(const struct sm_arena *a, uint64_t *word) {
    sm_store_rel(word, sm_word_held(a, sm_load_acq(word)));
}

/* Outside operations: the mbufs behind `m` in its packet (m itself stays as it is) become ATTACHED, or HELD by this
 * CPU, in one operation. attach refuses (SM_NOT_OWNER, SM_CORRUPT on a cycle) before it changes anything. */
enum sm_err sm_mb_attach_rest(struct sm_mb *mb, struct mbuf *m);
enum sm_err sm_mb_hold_rest(struct sm_mb *mb, struct mbuf *m);

/* ---- storage (mbuf_ext.c) */

/* n, which has none, refers to m's storage, too: fields, counter and M_EXT in one operation. */
enum sm_err sm_mb_share(struct sm_mb *mb, struct mbuf *n, const struct mbuf *m);
/* The same inside the caller's operation, with m's counter from sm_mb_counter. */
void sm_mb_share_inside(struct sm_mb *mb, struct mbuf *n, const struct mbuf *m, uint32_t *count);
/* m lets its storage go; the last one frees it. With a PACKET mbuf that is the last, storage stays: *keep is set, the
 * word now names the packet zone, and the caller puts the mbuf away there. */
enum sm_err sm_mb_release(struct sm_mb *mb, struct mbuf *m, uint64_t *word, bool *keep);
/* The counter behind m's storage after a look at everything that could be damaged; NULL and SM_CORRUPT. */
enum sm_err sm_mb_counter(const struct sm_mb *mb, const struct mbuf *m, uint32_t **count);
/* A fresh cluster of this zone for m (no M_EXT yet), in one operation from the bucket to the mbuf. */
enum sm_err sm_mb_cluster(struct sm_mb *mb, struct mbuf *m, enum sm_mb_zone which, int how);

/* ---- callbacks by name (mbuf_zone.c): a place in one of the region's tables, found or taken; and the function behind
 * an entry in this process, NULL when it is absent or not to be found here. */
enum sm_err sm_mb_name(struct sm_mb *mb, struct sm_callback_shm *table, uint32_t places,
                       const struct sm_callback_shm *cb, uint32_t *place);
sm_callback_fn sm_mb_callback(struct sm_mb *mb, const char *owner, enum sm_callback_slot slot,
                              const struct sm_callback_shm *cb, sm_callback_fn *fn, void **ctx);

/* ---- labels (mac.c): with labelling on, a new packet header gets one, and a copied header a copy. */
enum sm_err sm_mac_init_mbuf(struct sm_mb *mb, struct mbuf *m, int how);
enum sm_err sm_mac_copy_mbuf(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from, int how);
void sm_mac_destroy_tag(struct sm_mb *mb, struct m_tag *t); /* before a label's tag is freed */
static inline bool sm_mac_labelling(const struct sm_mb *mb) {
    return sm_unlikely(sm_load_rlx(&mb->mb_shm->mb_labelling) != 0);
}

/* ---- walking: at most as many steps as there are mbufs, so that a cycle ends. */
static inline uint64_t sm_mb_most(const struct sm_mb *mb) {
    return (sm_load_rlx(&mb->mb_arena->a_ctl->ctl_frontier) << SM_PAGE_SHIFT) / MSIZE;
}

#endif
