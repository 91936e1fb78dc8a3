/* sockbuf_check.c - one sockbuf's counts and ends against its chain, on demand. Takes sb_lock; changes nothing. The same
 * for all of them is sm_check's I19 (check_mbuf.c). After uipc_sockbuf.c.
 */
#include "sockbuf_impl.h"

static enum sm_err sums(struct sm_sockbuf *sb, struct sm_sockbuf_sum *sum) {
    struct sm_walk w;
    if (!sm_walk_begin(sm_sockbuf_arena(sb), &w)) {
        return sm_sockbuf_damaged(sb, "the region of mbufs makes no sense");
    }
    sm_walk_sockbuf(&w, sb->sb_shm, sum);
    return sum->ss_broken == NULL
               ? SM_OK
               : sm_sockbuf_damaged(sb, "its chain breaks after %llu mbufs at a link to %#llx",
                                    (unsigned long long)sum->ss_mbufs, (unsigned long long)*sum->ss_broken);
}

enum sm_err sbcheck(struct sm_sockbuf *sb) {
    const struct sm_sockbuf_shm *s = sb->sb_shm;
    struct sm_sockbuf_sum sum;
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    if ((err = sums(sb, &sum)) == SM_OK && (sum.ss_cc != s->sb_cc || sum.ss_mbcnt != s->sb_mbcnt)) {
        err = sm_sockbuf_damaged(sb, "sbcheck: %llu bytes counted, %llu found; %llu of storage counted, %llu found",
                                 (unsigned long long)s->sb_cc, (unsigned long long)sum.ss_cc,
                                 (unsigned long long)s->sb_mbcnt, (unsigned long long)sum.ss_mbcnt);
    }
    sm_sockbuf_leave(sb);
    return err;
}

static enum sm_err end_check(struct sm_sockbuf *sb, bool record) {
    const struct sm_sockbuf_shm *s = sb->sb_shm;
    struct sm_sockbuf_sum sum;
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    if ((err = sums(sb, &sum)) == SM_OK) {
        sm_off_t says = record ? s->sb_lastrecord : s->sb_mbtail, is = record ? sum.ss_last : sum.ss_tail;
        if (says != is) {
            err =
                sm_sockbuf_damaged(sb, "%s: last %s is %#llx, not %#llx", record ? "sblastrecordchk" : "sblastmbufchk",
                                   record ? "record" : "mbuf", (unsigned long long)is, (unsigned long long)says);
        }
    }
    sm_sockbuf_leave(sb);
    return err;
}

enum sm_err sblastrecordchk(struct sm_sockbuf *sb) {
    return end_check(sb, true);
}

enum sm_err sblastmbufchk(struct sm_sockbuf *sb) {
    return end_check(sb, false);
}
