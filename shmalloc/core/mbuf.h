/* mbuf.h - mbuf(9) on the zones of one arena: getting, freeing, shaping, copying, sharing across processes.
 * Owns no lock. Every function works on mbufs that this CPU holds; a struct mbuf * is an address in this process's
 * mapping. After FreeBSD's kern_mbuf.c and uipc_mbuf.c; what differs is said beside the function.
 *
 * Calls that return a pointer return NULL on failure and leave the reason in mb->mb_err. `how` is SM_M_NOWAIT or
 * SM_M_WAITOK. "Frees on failure" means that the chain passed in is gone when NULL comes back.
 */
#ifndef SM_MBUF_H
#define SM_MBUF_H

#include "layout_mbuf.h"
#include "zone.h"

#define M_COPYALL 0x7fffffff

/* Process-local: the mbufs of one attachment. */
struct sm_mb {
    struct sm_arena *mb_arena;
    struct sm_mb_shm *mb_shm;
    uint8_t *mb_base;
    struct sm_zone *mb_zone[SM_MBZ_COUNT];
    enum sm_err mb_err;      /* why the last call failed */
    uint64_t mb_first;       /* data region: lowest offset of an mbuf */
    uint64_t mb_meta, mb_counts; /* offsets of the meta region, and of a cluster's counter 0 in a state block of it */
    uint16_t mb_cluster_match; /* low half of a page entry of the clusters' keg */
    uint32_t mb_policy_gen; /* of the policies below; mac.c */
    uint32_t mb_policy_live; /* bit i: there is a policy i */
    uint32_t mb_policy_lost; /* bit i: it has a callback that this process cannot find */
    uint32_t mb_policy_inside; /* policies' callbacks now running */
    sm_callback_fn mb_policy_fn[MAC_SLOTS][3]; /* init, destroy, copy, resolved here */
    void *mb_policy_ctx[MAC_SLOTS][3];
    sm_callback_fn mb_extfree_fn[SM_EXTFREES];
    void *mb_extfree_ctx[SM_EXTFREES];
    sm_callback_fn mb_drain_fn[SM_DRAINS];
    void *mb_drain_ctx[SM_DRAINS];
};

/* ---- the mbufs of an arena (mbuf_zone.c) */

struct
    sm_mb_params { /* 0 takes the default: maxusers from physical memory, nmbclusters from maxusers, the rest from it */
    uint32_t mp_maxusers;
    int64_t mp_nmbclusters, mp_nmbjumbop, mp_nmbjumbo9, mp_nmbjumbo16; /* -1: no limit */
    uint32_t mp_zone_flags; /* SM_ZONE_TRACE, SM_ZONE_NOFREE: for every zone made here */
};
/* Finds the mbufs of the arena or makes them; safe in every process at once. The handle lives as long as the
 * attachment. p is looked at only by the one that makes them; NULL: defaults. */
enum sm_err sm_mb_open(struct sm_arena *a, const struct sm_mb_params *p, struct sm_mb **out);
/* Finds them, SM_NOT_FOUND if nobody made them; also on a read-only attachment. */
enum sm_err sm_mb_find(struct sm_arena *a, struct sm_mb **out);
/* Items, 0: no limit. Jumbo limits follow nmbclusters in their proportion unless they are set themselves. */
enum sm_err sm_mb_set_limit(struct sm_mb *mb, enum sm_mb_zone which, uint64_t items, uint64_t *effective);
uint64_t sm_mb_get_limit(const struct sm_mb *mb, enum sm_mb_zone which);
uint32_t sm_mb_maxusers(uint64_t physical_bytes); /* FreeBSD's formula: memory / 2 MiB, 32 .. 384 */
uint64_t sm_mb_nmbclusters(uint32_t maxusers); /* 1024 + maxusers * 64 */
/* Drain routines: called by mb_reclaim, which runs when clusters have run out. By name, as zone callbacks. */
enum sm_err sm_mb_add_drain(struct sm_mb *mb, const struct sm_callback_shm *cb);
void mb_reclaim(struct sm_mb *mb);

/* ---- addresses */

static inline struct mbuf *m_at(const struct sm_mb *mb, sm_off_t off) {
    return off == 0 ? NULL : (struct mbuf *)(mb->mb_base + off);
}
static inline sm_off_t m_off(const struct sm_mb *mb, const void *p) {
    return p == NULL ? 0 : (sm_off_t)((const uint8_t *)p - mb->mb_base);
}
/* The next mbuf of the packet. NULL at the end, and for a link that cannot be one (mb_err is SM_CORRUPT then). */
struct mbuf *m_follow(struct sm_mb *mb, sm_off_t link);
static inline bool m_link_sane(const struct sm_mb *mb, sm_off_t link) {
    const struct sm_zone *z = mb->mb_zone[SM_MBZ_MBUF];
    return link - mb->mb_first < z->z_data_bytes && (link - mb->mb_first) % MSIZE == 0;
}
static inline struct mbuf *m_nextm(struct sm_mb *mb, const struct mbuf *m) {
    return sm_likely(m->m_next == 0) ? NULL : m_follow(mb, m->m_next);
}
static inline struct mbuf *m_nextp(struct sm_mb *mb, const struct mbuf *m) {
    return sm_likely(m->m_nextpkt == 0) ? NULL : m_follow(mb, m->m_nextpkt);
}
static inline uint32_t m_len(const struct mbuf *m) {
    return (uint32_t)m->m_win.w_len;
}
static inline uint8_t *mtod(const struct sm_mb *mb, const struct mbuf *m) {
    return mb->mb_base + m->m_win.w_data;
}
/* Both at once, one store. */
static inline void m_set(struct mbuf *m, sm_off_t data, uint32_t len) {
    union sm_mwindow w = {.w_len = len, .w_data = data};
    sm_store_rlx(&m->m_win.w_word, w.w_word);
}
static inline void m_set_len(struct mbuf *m, uint32_t len) {
    m_set(m, m->m_win.w_data, len);
}
/* The storage an mbuf's bytes lie in: its own, or its cluster's. */
static inline sm_off_t m_start(const struct sm_mb *mb, const struct mbuf *m) {
    return m->m_flags & M_EXT ? m->m_ext.me_buf : m->m_flags & M_PKTHDR ? m_off(mb, m->m_pktdat) : m_off(mb, m->m_dat);
}
static inline uint32_t m_size(const struct mbuf *m) {
    return m->m_flags & M_EXT ? m->m_ext.me_size : m->m_flags & M_PKTHDR ? MHLEN : MLEN;
}
bool m_writable(struct sm_mb *mb, const struct mbuf *m); /* not M_RDONLY, and nobody else refers to the storage */
uint32_t m_leadingspace(struct sm_mb *mb, const struct mbuf *m); /* 0 if not writable */
uint32_t m_trailingspace(struct sm_mb *mb, const struct mbuf *m); /* 0 if not writable */

/* ---- getting and freeing (mbuf_get.c) */

struct mbuf *m_get(struct sm_mb *mb, int how, int type);
struct mbuf *m_gethdr(struct sm_mb *mb, int how, int type);
struct mbuf *m_getcl(struct sm_mb *mb, int how, int type, uint32_t flags); /* M_PKTHDR or 0 */
struct mbuf *m_getjcl(struct sm_mb *mb, int how, int type, uint32_t flags, uint32_t size); /* a cluster size */
struct mbuf *m_get2(struct sm_mb *mb, uint32_t size, int how, int type, uint32_t flags); /* one mbuf of >= size */
/* A chain of at least len bytes, appended to m when m is not NULL (then m comes back; it is untouched on failure). */
struct mbuf *m_getm2(struct sm_mb *mb, struct mbuf *m, uint32_t len, int how, int type, uint32_t flags);
bool m_clget(struct sm_mb *mb, struct mbuf *m, int how); /* attaches a 2 KiB cluster */
bool m_cljget(struct sm_mb *mb, struct mbuf *m, int how, uint32_t size); /* attaches one of that size */
/* Frees one mbuf and hands back the next of its packet. SM_DOUBLE_FREE, SM_NOT_OWNER, ... : nothing was freed. */
enum sm_err m_free(struct sm_mb *mb, struct mbuf *m, struct mbuf **next);
/* The whole packet; NULL is nothing. Stops at the first mbuf that is not this CPU's to free: a chain freed twice, or a
 * cycle, ends there with its error. */
enum sm_err m_freem(struct sm_mb *mb, struct mbuf *m);

/* ---- external storage (mbuf_ext.c) */

/* m gets the storage `item`, which this CPU holds and which is gone from it when this returns SM_OK: any item of a zone
 * or of malloc. buf and size: the part of it that m may use. cb: called with (buf, size, args) when the last mbuf lets
 * go, before the item goes back to its zone; NULL for none. args points to two words. */
enum sm_err m_extadd(struct sm_mb *mb, struct mbuf *m, struct sm_zone *z, void *item, void *buf, uint32_t size,
                     const struct sm_callback_shm *cb, uint64_t arg1, uint64_t arg2, uint32_t flags, uint32_t type);
/* n, without storage, shares m's. Both are read-only while both live. */
enum sm_err m_extaddref(struct sm_mb *mb, const struct mbuf *m, struct mbuf *n);
uint32_t m_refcnt(struct sm_mb *mb,
                  const struct mbuf *m); /* of the storage; 0 without M_EXT or when it makes no sense */

/* ---- shaping (mbuf_shape.c, mbuf_split.c, mbuf_pack.c)
 *
 * A chain is looked over before it is changed: SM_CORRUPT when it has a cycle, a link that leads nowhere, or bytes
 * outside of their storage, whatever the arguments. */

/* A new first mbuf of len bytes, at most MHLEN (MLEN without a header); m's header moves to it. As everywhere ph_len
 * stays: M_PREPEND adds len, m_prepend does not. Frees on failure. */
struct mbuf *m_prepend(struct sm_mb *mb, struct mbuf *m, uint32_t len, int how);
#define M_PREPEND(mb, m, plen, how) m_prepend_fast((mb), (m), (plen), (how))
struct mbuf *m_prepend_fast(struct sm_mb *mb, struct mbuf *m, uint32_t len, int how); /* in place where there is room */
struct mbuf *m_pullup(struct sm_mb *mb, struct mbuf *m, uint32_t len); /* frees on failure; up to MHLEN */
struct mbuf *m_copyup(struct sm_mb *mb, struct mbuf *m, uint32_t len, uint32_t dstoff); /* frees on failure */
/* len bytes at off become contiguous; *offp: where they are in the mbuf that comes back. Frees on failure. */
struct mbuf *m_pulldown(struct sm_mb *mb, struct mbuf *m, uint32_t off, uint32_t len, uint32_t *offp);
/* What lies behind the first len bytes. On failure the chain is as before. Without a packet header nothing may lie there:
 * then NULL comes back with mb_err SM_OK. */
struct mbuf *m_split(struct sm_mb *mb, struct mbuf *m, uint32_t len, int how);
enum sm_err m_cat(struct sm_mb *mb, struct mbuf *m, struct mbuf *n); /* headers stay as they are, n's too */
enum sm_err m_catpkt(struct sm_mb *mb, struct mbuf *m, struct mbuf *n); /* n's header goes, m's counts its bytes */
enum sm_err m_adj(struct sm_mb *mb, struct mbuf *m, int64_t len); /* more than there is: SM_INVALID, nothing trimmed */
enum sm_err m_append(struct sm_mb *mb, struct mbuf *m, uint32_t len, const void *bytes); /* all of it or nothing */
enum sm_err m_align(struct sm_mb *mb, struct mbuf *m, uint32_t len); /* data at the end of an empty mbuf's storage */
void m_demote(struct sm_mb *mb, struct mbuf *m, bool all); /* packet headers become plain mbufs; mb_err */
struct mbuf *m_fragment(struct sm_mb *mb, struct mbuf *m, int how,
                        uint32_t len); /* into pieces of len; frees on failure */
struct mbuf *m_defrag(struct sm_mb *mb, struct mbuf *m, int how); /* fewest mbufs; on failure the chain is as before */
/* At most maxfrags mbufs; the first stays the first. On failure (SM_INVALID: it cannot have so few) the bytes are as
 * before, maybe in fewer mbufs. */
struct mbuf *m_collapse(struct sm_mb *mb, struct mbuf *m, int how, uint32_t maxfrags);
struct mbuf *m_unshare(struct sm_mb *mb, struct mbuf *m, int how); /* every mbuf writable; frees on failure */

/* ---- copying and reading (mbuf_copy.c, mbuf_data.c) */

/* Shares clusters. Not all there: SM_INVALID, and so is a copy of no byte (but M_COPYALL of an empty packet). */
struct mbuf *m_copym(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len, int how);
struct mbuf *m_copypacket(struct sm_mb *mb, const struct mbuf *m, int how);
struct mbuf *m_dup(struct sm_mb *mb, const struct mbuf *m, int how); /* copies every byte */
enum sm_err m_copydata(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len, void *to);
/* Extends the chain; a gap becomes zeros. SM_BUSY: bytes in that range are read-only. On failure nothing has changed. */
enum sm_err m_copyback(struct sm_mb *mb, struct mbuf *m, uint32_t off, uint32_t len, const void *from);
/* Calls f on each contiguous piece; stops at the first nonzero return, which is *rc. */
enum sm_err m_apply(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len,
                    int (*f)(void *arg, void *data, uint32_t len), void *arg, int *rc);
struct mbuf *m_getptr(struct sm_mb *mb, struct mbuf *m, uint32_t loc,
                      uint32_t *off); /* the very end has a place, too */
uint64_t m_length(struct sm_mb *mb, const struct mbuf *m, struct mbuf **last);
uint64_t m_fixhdr(struct sm_mb *mb, struct mbuf *m); /* ph_len becomes m_length */
/* `to` must be empty unless it has storage. M_RDONLY speaks of storage: it stays where it is. */
enum sm_err m_move_pkthdr(struct sm_mb *mb, struct mbuf *to, struct mbuf *from);
enum sm_err m_dup_pkthdr(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from, int how); /* tags, labels, too */
/* SM_OK: every mbuf is held here, lengths lie in their storage, no cycle, ph_len agrees. sanitize: repairs lengths, and
 * cuts off what is no part of the chain; storage that makes no sense stays SM_CORRUPT. */
enum sm_err m_sanity(struct sm_mb *mb, struct mbuf *m, bool sanitize);
/* Text of at most room - 1 bytes; returns how many the whole text has (snprintf). max: data bytes of an mbuf, -1 all. */
uint64_t m_print(struct sm_mb *mb, const struct mbuf *m, int64_t max, char *text, uint64_t room);

/* ---- tags (mbuf_tag.c). All tags of a packet header belong to it; an unlinked tag to this CPU. */

struct m_tag *m_tag_alloc(struct sm_mb *mb, uint32_t cookie, uint32_t id, uint32_t len, int how); /* len <= MTAG_MAX */
enum sm_err m_tag_free(struct sm_mb *mb, struct m_tag *t); /* an unlinked one */
enum sm_err m_tag_prepend(struct sm_mb *mb, struct mbuf *m, struct m_tag *t);
enum sm_err m_tag_unlink(struct sm_mb *mb, struct mbuf *m, struct m_tag *t);
enum sm_err m_tag_delete(struct sm_mb *mb, struct mbuf *m, struct m_tag *t);
enum sm_err m_tag_delete_chain(struct sm_mb *mb, struct mbuf *m, struct m_tag *t); /* from t on; NULL: all */
enum sm_err m_tag_delete_nonpersistent(struct sm_mb *mb, struct mbuf *m);
struct m_tag *m_tag_first(struct sm_mb *mb, const struct mbuf *m);
struct m_tag *m_tag_next(struct sm_mb *mb, const struct m_tag *t);
struct m_tag *m_tag_find(struct sm_mb *mb, const struct mbuf *m, uint32_t id, struct m_tag *start);
struct m_tag *m_tag_locate(struct sm_mb *mb, const struct mbuf *m, uint32_t cookie, uint32_t id, struct m_tag *start);
struct m_tag *m_tag_copy(struct sm_mb *mb, const struct m_tag *t, int how);
enum sm_err m_tag_copy_chain(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from, int how);

/* ---- mbufq: packets of this CPU, linked by m_nextpkt (mbufq.c). The queue itself is the caller's memory. maxlen 0: no
 * bound. SM_INVALID (mbufq_prepend: in mb_err): the packet is linked to another already. */

struct mbufq {
    sm_off_t mq_head, mq_tail;
    uint32_t mq_len, mq_maxlen;
};
void mbufq_init(struct mbufq *q, uint32_t maxlen);
enum sm_err mbufq_drain(struct sm_mb *mb, struct mbufq *q); /* frees every packet */
struct mbuf *mbufq_flush(struct sm_mb *mb, struct mbufq *q); /* hands all back, linked by m_nextpkt */
struct mbuf *mbufq_first(const struct sm_mb *mb, const struct mbufq *q);
struct mbuf *mbufq_last(const struct sm_mb *mb, const struct mbufq *q);
bool mbufq_full(const struct mbufq *q);
uint32_t mbufq_len(const struct mbufq *q);
enum sm_err mbufq_enqueue(struct sm_mb *mb, struct mbufq *q, struct mbuf *m); /* SM_FULL: m stays the caller's */
struct mbuf *mbufq_dequeue(struct sm_mb *mb, struct mbufq *q);
void mbufq_prepend(struct sm_mb *mb, struct mbufq *q, struct mbuf *m);
void mbufq_concat(struct sm_mb *mb, struct mbufq *dst, struct mbufq *src);

/* ---- between processes (mbuf_pass.c) */

struct sm_queue;
/* The packet goes into the queue whole: head QUEUED, the rest ATTACHED to it. On failure it is the caller's as before. */
enum sm_err m_enqueue(struct sm_mb *mb, struct sm_queue *q, struct mbuf *m, int64_t timeout_ns);
/* What sm_queue_get or sm_zone_adopt gave becomes a packet; SM_NOT_OURS: it is an item of another zone, and stays so. */
enum sm_err m_arrived(struct sm_mb *mb, struct sm_zone *z, void *item, struct mbuf **m);
enum sm_err m_dequeue(struct sm_mb *mb, struct sm_queue *q, int64_t timeout_ns, struct mbuf **m);
enum sm_err m_ticket(struct sm_mb *mb, struct mbuf *m, struct sm_handle *h);
enum sm_err m_adopt(struct sm_mb *mb, struct sm_handle h, struct mbuf **m);

#endif
