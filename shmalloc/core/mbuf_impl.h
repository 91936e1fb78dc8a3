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
    enum sm_err ma_err; /* out: why the label was refused, SM_OK when it was not that */
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

/* ---- labels (mac_label.c): with labelling on, a new packet header gets one, and a copied header a copy. SM_CTOR_FAILED: a
 * policy refused, its errno is in a_callback_errno; SM_UNRESOLVED: a policy's callback is not to be found in this process;
 * SM_IN_CALLBACK: called by a policy. On failure m has no label and every policy has heard of its end. */
enum sm_err sm_mac_init_mbuf(struct sm_mb *mb, struct mbuf *m, int how);
enum sm_err sm_mac_copy_mbuf(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from, int how);
/* Before a label's tag, HELD, is freed. Fails only when no operation can be begun; may be called again then. */
enum sm_err sm_mac_destroy_tag(struct sm_mb *mb, struct m_tag *t);
static inline bool sm_mac_is_label(const struct m_tag *t) {
    return t->t_cookie == MTAG_ABI_COMPAT && t->t_id == PACKET_TAG_MACLABEL;
}

/* ---- policies (mac.c) */
enum sm_mac_call { SM_MAC_INIT, SM_MAC_DESTROY, SM_MAC_COPY, SM_MAC_CALLS };
/* Outside operations and policies' callbacks: this process's table of policies is that of the arena. again: also looks
 * once more for callbacks that were not to be found before. */
enum sm_err sm_mac_refresh(struct sm_mb *mb, bool again);
/* Policy i's callback, if it has one here; its return value, else 0. */
int sm_mac_run(struct sm_mb *mb, uint32_t i, enum sm_mac_call which, uint64_t *slot, void *arg, int how);
void sm_mac_release(struct sm_mb *mb); /* the contexts of this process's callbacks */
enum sm_err sm_mac_test_natives(void); /* mac_test.c: its callbacks become known to this process */
/* What mode and policies say together. The caller holds the admin lock or has stopped the world. */
static inline uint32_t sm_mac_labelling_of(const struct sm_mb_shm *shm) {
    uint32_t mode = sm_load_rlx(&shm->mb_label_mode), asked = 0;
    for (uint32_t i = 0; i < MAC_SLOTS; i++) {
        const struct sm_mac_policy_shm *mp = &shm->mb_policy[i];
        asked |= sm_load_rlx(&mp->mp_state) == SM_MAC_LIVE && mp->mp_flags & MAC_LABEL_MBUFS;
    }
    return mode == MAC_LABELS_ALL || (mode == MAC_LABELS_BY_POLICY && asked);
}
static inline bool sm_mac_labelling(const struct sm_mb *mb) {
    return sm_unlikely(sm_load_rlx(&mb->mb_shm->mb_labelling) != 0);
}

/* ---- chains (mbuf_sane.c) */

/* Do the bytes lie in the storage, and the storage in the data region? */
bool sm_mb_sane(struct sm_mb *mb, const struct mbuf *m);
/* May this CPU read it: does it hold it, or is it ATTACHED to something of which the caller has the lock? */
enum sm_err sm_mb_readable(const struct sm_mb *mb, const struct mbuf *m);
struct sm_mb_span { /* what was walked */
    uint64_t sp_bytes;
    uint64_t sp_mbufs;
    struct mbuf *sp_last;
};
/* From m on, until `need` bytes were seen: every mbuf sane, no cycle. held: each is this CPU's to change, and its counter
 * of storage makes sense; otherwise readable is enough. Without this a chain is not walked that is changed. m's own
 * fault gets its name (SM_DOUBLE_FREE, SM_NOT_OWNER); behind it everything is SM_CORRUPT. m NULL: SM_INVALID. */
enum sm_err sm_mb_chain(struct sm_mb *mb, const struct mbuf *m, bool held, uint64_t need, struct sm_mb_span *span);
#define SM_MB_WHOLE UINT64_MAX
static inline void *sm_mb_lose(struct sm_mb *mb, struct mbuf *m, enum sm_err why) { /* "frees on failure" */
    (void)m_freem(mb, m);
    return sm_mb_fail(mb, why);
}
/* Bytes out of a chain that was walked: as many as there are, up to len. */
void sm_mb_read(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len, uint8_t *to);
/* Drops len bytes from the front of a chain that was walked and has them. Mbufs that are emptied stay. */
void sm_mb_trim(struct sm_mb *mb, struct mbuf *m, uint64_t len);
/* An empty mbuf with room for size bytes, also after a packet header has moved to it. */
struct mbuf *sm_mb_room(struct sm_mb *mb, uint32_t size, int how, int type, bool header);
/* n, an empty chain with room for all of m, takes m's place: header and bytes move, at most `piece` bytes to an mbuf, and
 * m is freed. On failure both are as before. */
enum sm_err sm_mb_replace(struct sm_mb *mb, struct mbuf *n, struct mbuf *m, uint32_t piece);

/* ---- walking: at most as many steps as there are mbufs, so that a cycle ends. */
static inline uint64_t sm_mb_most(const struct sm_mb *mb) {
    return (sm_load_rlx(&mb->mb_arena->a_ctl->ctl_frontier) << SM_PAGE_SHIFT) / MSIZE;
}

#endif
