/* sockbuf.h - socket buffers in an arena: bytes and records as mbuf chains that every process may append to and take from.
 * Owns struct sm_sockbuf (a process's handle). After FreeBSD's uipc_sockbuf.c and sys/sockbuf.h.
 *
 *   sb_mb --> mbuf -m_next-> mbuf -m_next-> mbuf            first record
 *               | m_nextpkt
 *               v
 *             mbuf <-- sb_lastrecord -m_next-> mbuf <-- sb_mbtail
 *
 * What differs from FreeBSD, because the users are processes that may die between any two instructions:
 *   - every call takes the sockbuf's lock itself; there are no _locked twins;
 *   - every append looks for room under the lock (a look at sbspace before it would be out of date): SM_FULL, and the
 *     chain stays the caller's. Its bytes and its head are as before; small mbufs in it may have been merged;
 *   - bytes are merged into the sockbuf's last mbuf only when the whole chain fits there, so that one store appends all
 *     of it: a reader, and whoever recovers from a death, sees all of an append or nothing;
 *   - taking from the front is one store for each mbuf (one for a whole record): a crash leaves a prefix taken, and
 *     nothing lost behind it.
 * Calls return SM_OK or why not: SM_GONE (destroyed meanwhile), SM_READ_ONLY, SM_STALLED, SM_CORRUPT (with an event that
 * names the sockbuf), SM_NOT_OWNER, SM_DOUBLE_FREE (a chain that is not this CPU's), and what is said beside them.
 */
#ifndef SM_SOCKBUF_H
#define SM_SOCKBUF_H

#include "mbuf.h"

/* Process-local: one sockbuf as an attachment knows it. */
struct sm_sockbuf {
    struct sm_mb *sb_mbufs;
    struct sm_sockbuf_shm *sb_shm;
    uint32_t sb_id, sb_life; /* of the sockbuf it was opened as: sb_gen */
};

/* ---- by name (sockbuf.c) */

/* hiwat: most bytes of data. mbmax: most bytes of storage, 0 takes SB_EFFICIENCY times hiwat and never less than one
 * mbuf. Both at most the arena's data region (SM_INVALID). SM_EXISTS, SM_NAME_TOO_LONG, SM_TABLE_FULL. */
#define SB_EFFICIENCY 8u
enum sm_err sm_sockbuf_create(struct sm_mb *mb, const char *name, uint64_t hiwat, uint64_t mbmax,
                              struct sm_sockbuf **out);
enum sm_err sm_sockbuf_open(struct sm_mb *mb, const char *name, struct sm_sockbuf **out); /* SM_NOT_FOUND */
void sm_sockbuf_close(struct sm_sockbuf *sb); /* the handle; the sockbuf and what is in it stay */
enum sm_err sm_sockbuf_destroy(struct sm_sockbuf *sb); /* SM_BUSY: not empty. The handle is still to be closed */

enum sm_err sbreserve(struct sm_sockbuf *sb, uint64_t hiwat, uint64_t mbmax); /* new limits, as for create */
/* Bytes that an append may have now, as of some moment during the call: 0 too when it is gone. */
uint64_t sbspace(const struct sm_sockbuf *sb);
uint64_t sbused(const struct sm_sockbuf *sb); /* bytes in it, likewise */

/* ---- sleeping (sockbuf_wait.c) */

enum sb_side { SB_DATA, SB_SPACE };
/* Until there are that many bytes, or room for them; 0 bytes: until it is not empty, or anything fits. timeout_ns is
 * relative, negative waits for ever: SM_TIMEOUT. SM_INVALID: more than hiwat can ever be. SM_INTERRUPTED, SM_CLOSED. Who
 * returns has seen it true under the lock; another process may have been quicker by now. */
enum sm_err sbwait(struct sm_sockbuf *sb, enum sb_side side, uint64_t bytes, int64_t timeout_ns);

/* ---- appending (sockbuf_append.c): the chain is this CPU's, without m_nextpkt; the sockbuf's on SM_OK */

/* Into the last record, or as a new one if that ended with M_EOR. */
enum sm_err sbappend(struct sm_sockbuf *sb, struct mbuf *m);
/* Into the one record of a stream. Packet headers in the chain are demoted, also when it does not fit. SM_INVALID: there
 * is more than one record. */
enum sm_err sbappendstream(struct sm_sockbuf *sb, struct mbuf *m);
enum sm_err sbappendrecord(struct sm_sockbuf *sb, struct mbuf *m); /* as a new record */
/* An MT_SONAME mbuf with the address (1 .. MLEN bytes), then control (MT_CONTROL, may be NULL), then m (may be NULL) as one
 * record. On failure both chains are untouched. */
enum sm_err sbappendaddr(struct sm_sockbuf *sb, const void *addr, uint32_t len, struct mbuf *m, struct mbuf *control,
                         int how);
enum sm_err sbappendcontrol(struct sm_sockbuf *sb, struct mbuf *m, struct mbuf *control); /* the same without address */
/* A private chain: small mbufs move into the room behind the one before, empty ones are freed, M_EOR goes to the last.
 * The head stays, even empty. */
enum sm_err sbcompress(struct sm_mb *mb, struct mbuf *m);

/* ---- taking away (sockbuf_drop.c) */

enum sm_err sbdrop(struct sm_sockbuf *sb, uint64_t len); /* SM_INVALID: there are fewer; nothing is dropped */
/* The same; the mbufs that went whole come back as one chain of this CPU, linked by m_next, NULL for none. Bytes taken off
 * an mbuf that stays are not among them. */
enum sm_err sbcut(struct sm_sockbuf *sb, uint64_t len, struct mbuf **chain);
enum sm_err sbdroprecord(struct sm_sockbuf *sb); /* the first one, in one store; nothing there is SM_OK */
/* Empties it. SM_CORRUPT: the counts and the chain disagreed ("empty but mbuf still attached", or mbufs counted that are
 * not there): told in an event; the sockbuf is empty and whole now, and what could not be reached is freed by the next
 * recovery. */
enum sm_err sbflush(struct sm_sockbuf *sb);

/* ---- reading (sockbuf_read.c) */

/* Up to len bytes of the first record become a private chain of this CPU without copying; the record's rest stays. An
 * mbuf that is cut in two is shared, or copied if the piece fits into an mbuf. Headers say the length taken. A whole
 * record comes in one store. SM_EMPTY: there is nothing. A caller that dies takes with it what it has taken. */
enum sm_err sbreceive(struct sm_sockbuf *sb, uint64_t len, int how, struct mbuf **chain);
/* Copies len bytes from byte off of the whole sockbuf, across records; they stay. SM_INVALID: there are fewer. */
enum sm_err sb_copydata(struct sm_sockbuf *sb, uint64_t off, uint64_t len, void *to);
/* Where byte off lies: the mbuf, its offset in it, and how many bytes follow there. They stay there until somebody takes
 * them away, so this is for the process that alone does so. SM_INVALID: there are fewer. */
enum sm_err sbsndptr(struct sm_sockbuf *sb, uint64_t off, const struct mbuf **m, uint32_t *moff, uint32_t *follow);

/* ---- checking (sockbuf_check.c): SM_CORRUPT and an event that says what is and what should be */

enum sm_err sbcheck(struct sm_sockbuf *sb); /* bytes and storage */
enum sm_err sblastrecordchk(struct sm_sockbuf *sb);
enum sm_err sblastmbufchk(struct sm_sockbuf *sb);

#endif
