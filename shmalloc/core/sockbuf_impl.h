/* sockbuf_impl.h - what the sockbuf*.c files share. Private to them.
 *
 * The truth of a sockbuf is what is reached from sb_mb: through m_next in a record, through the m_nextpkt of a record's
 * first mbuf to the next one. Its mbufs are ATTACHED, and one store makes each change. All else in struct sm_sockbuf_shm
 * that the lock protects is derived, and rebuilt after a death (mbuf_walk.c); a link is looked up before it is followed.
 */
#ifndef SM_SOCKBUF_IMPL_H
#define SM_SOCKBUF_IMPL_H

#include "mbuf_impl.h"
#include "mbuf_walk.h"
#include "sockbuf.h"

/* One operation with the sockbuf's lock held, begun again after a death that left it in doubt. Between the two: no
 * allocation, no free, no callback. SM_GONE. */
enum sm_err sm_sockbuf_enter(struct sm_sockbuf *sb);
void sm_sockbuf_leave(struct sm_sockbuf *sb);

/* After leaving: those who sleep for data, or for space, look again. */
void sm_sockbuf_wake(struct sm_sockbuf *sb, enum sb_side side);

/* Writes the event and is SM_CORRUPT. */
enum sm_err sm_sockbuf_damaged(const struct sm_sockbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline struct sm_arena *sm_sockbuf_arena(const struct sm_sockbuf *sb) {
    return sb->sb_mbufs->mb_arena;
}

/* As sbspace: what is left of both limits. Any time. */
static inline uint64_t sm_sockbuf_room(const struct sm_sockbuf_shm *s) {
    uint64_t cc = sm_load_rlx(&s->sb_cc), hiwat = sm_load_rlx(&s->sb_hiwat);
    uint64_t mbcnt = sm_load_rlx(&s->sb_mbcnt), mbmax = sm_load_rlx(&s->sb_mbmax);
    uint64_t data = hiwat > cc ? hiwat - cc : 0, storage = mbmax > mbcnt ? mbmax - mbcnt : 0;
    return data < storage ? data : storage;
}

/* Bytes fit, and so does an empty mbuf: as in FreeBSD the storage of one append may go beyond mbmax, but nothing more may
 * come then. */
static inline bool sm_sockbuf_fits(const struct sm_sockbuf_shm *s, uint64_t bytes) {
    return bytes <= sm_sockbuf_room(s) && sm_load_rlx(&s->sb_mbcnt) < sm_load_rlx(&s->sb_mbmax);
}

/* Lock held: the counts move by so much (wrapping), as seen by those who only look. */
static inline void sm_sockbuf_count(struct sm_sockbuf_shm *s, uint64_t bytes, uint64_t storage) {
    sm_store_rlx(&s->sb_cc, s->sb_cc + bytes);
    sm_store_rlx(&s->sb_mbcnt, s->sb_mbcnt + storage);
}

/* Lock held: the mbuf at a link of the sockbuf and its word; NULL when it is no ATTACHED mbuf or its bytes lie outside. */
struct mbuf *sm_sockbuf_mbuf(const struct sm_sockbuf *sb, sm_off_t link, uint64_t **word);

/* Lock held: unlinks the first mbuf and makes it this CPU's, without links. SM_CORRUPT: nothing happened. *ended: it was
 * the last of its record. */
enum sm_err sm_sockbuf_unlink(struct sm_sockbuf *sb, struct mbuf **m, bool *ended);
/* Lock held: the first record in one store, as a chain of this CPU; NULL when there is none. */
enum sm_err sm_sockbuf_unlink_record(struct sm_sockbuf *sb, struct mbuf **chain);

#endif
