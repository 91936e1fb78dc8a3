/* mbuf_sane.c - is a chain what it says: the walk that every function makes before it changes one, m_sanity and m_print.
 * Takes no lock; only m_sanity with `sanitize` stores anything. What an mbuf says is compared with the data region and
 * the state words before it is followed. After uipc_mbuf.c; cycles are found by Brent's method.
 */
#include <stdarg.h>
#include <stdio.h>

#include "mbuf_impl.h"
#include "zone_impl.h"

/* ---------------------------------------------------------------- one mbuf */

static uint32_t size_most(uint32_t type) {
    switch (type) {
    case EXT_CLUSTER:
    case EXT_PACKET:
        return MCLBYTES;
    case EXT_JUMBOP:
        return MJUMPAGESIZE;
    case EXT_JUMBO9:
        return MJUM9BYTES;
    case EXT_JUMBO16:
        return MJUM16BYTES;
    default:
        return M_LEN_MAX;
    }
}

static bool storage_sane(struct sm_mb *mb, const struct mbuf *m) {
    struct sm_zone *z = mb->mb_zone[SM_MBZ_MBUF];
    uint64_t at = m->m_ext.me_buf - mb->mb_first, size = m->m_ext.me_size;
    if (sm_unlikely(at >= z->z_data_bytes || size > z->z_data_bytes - at)) {
        sm_zone_widen(z);
        if (at >= z->z_data_bytes || size > z->z_data_bytes - at) {
            return false;
        }
    }
    return size <= size_most(m->m_ext.me_type);
}

bool sm_mb_sane(struct sm_mb *mb, const struct mbuf *m) {
    uint64_t at = m->m_win.w_data - m_start(mb, m), size = m_size(m);
    return (!(m->m_flags & M_EXT) || storage_sane(mb, m)) && at <= size && m_len(m) <= size - at;
}

enum sm_err sm_mb_readable(const struct sm_mb *mb, const struct mbuf *m) {
    uint64_t *word = NULL;
    enum sm_err err = sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
    return err == SM_NOT_OWNER && SM_ST_KIND(sm_load_acq(word)) == SM_ATTACHED ? SM_OK : err;
}

/* ---------------------------------------------------------------- chains */

static enum sm_err look_at(struct sm_mb *mb, const struct mbuf *m, bool held) {
    uint64_t *word;
    uint32_t *count;
    enum sm_err err = held ? sm_mb_held(mb, m, SM_MBZ_MBUF, &word) : sm_mb_readable(mb, m);
    if (err == SM_OK && (!sm_mb_sane(mb, m) || (held && m->m_flags & M_EXT && sm_mb_counter(mb, m, &count) != SM_OK))) {
        err = SM_CORRUPT;
    }
    return err;
}

enum sm_err sm_mb_chain(struct sm_mb *mb, const struct mbuf *m, bool held, uint64_t need, struct sm_mb_span *span) {
    const struct mbuf *n = m, *marker = m;
    uint64_t stride = 1, steps = 0;
    *span = (struct sm_mb_span){0};
    if (m == NULL) {
        return SM_INVALID;
    }
    while (true) {
        enum sm_err err = look_at(mb, n, held);
        if (err != SM_OK) {
            return n == m || err == SM_FORKED ? err : SM_CORRUPT;
        }
        span->sp_bytes += m_len(n);
        span->sp_mbufs++;
        span->sp_last = (struct mbuf *)n;
        if (n->m_next == 0 || span->sp_bytes >= need) {
            return SM_OK;
        }
        n = m_nextm(mb, n);
        if (n == NULL || n == marker) {
            return SM_CORRUPT;
        }
        if (++steps == stride) { /* Brent: the marker moves up at doubling distances */
            marker = n;
            stride *= 2;
            steps = 0;
        }
    }
}

/* ---------------------------------------------------------------- m_sanity */

/* The window into its storage again, as much of it as lies there; storage that cannot be is given up by m_free only. */
static bool repair_window(struct sm_mb *mb, struct mbuf *m) {
    uint64_t size = m_size(m), at = m->m_win.w_data - m_start(mb, m);
    if (m->m_flags & M_EXT && !storage_sane(mb, m)) {
        return false;
    }
    if (at > size) {
        m_set(m, m_start(mb, m), 0);
    } else if (m_len(m) > size - at) {
        m_set_len(m, (uint32_t)(size - at));
    }
    return true;
}

/* The last mbuf before a cycle closes; `in` is one of the cycle's. */
static struct mbuf *cycle_end(struct sm_mb *mb, struct mbuf *m, const struct mbuf *in) {
    struct mbuf *end = m, *ahead = m_nextm(mb, m);
    for (const struct mbuf *n = m_nextm(mb, in); n != in; n = m_nextm(mb, n)) {
        end = ahead; /* as far ahead as the cycle is long */
        ahead = m_nextm(mb, ahead);
    }
    while (m != ahead) {
        m = m_nextm(mb, m);
        end = ahead;
        ahead = m_nextm(mb, ahead);
    }
    return end;
}

/* The fault at which a walk ended. SM_CORRUPT: storage that cannot be; only m_free copes with that. */
static enum sm_err repair(struct sm_mb *mb, struct mbuf *m, const struct sm_mb_span *span) {
    struct mbuf *suspect = span->sp_last ? m_nextm(mb, span->sp_last) : m;
    uint64_t *word;
    uint32_t *count;
    if (suspect == NULL || sm_mb_held(mb, suspect, SM_MBZ_MBUF, &word) != SM_OK) {
        span->sp_last->m_next = 0; /* a link to what is no part of this chain */
        return SM_OK;
    }
    if (suspect->m_flags & M_EXT && sm_mb_counter(mb, suspect, &count) != SM_OK) {
        return SM_CORRUPT;
    }
    if (!sm_mb_sane(mb, suspect)) {
        return repair_window(mb, suspect) ? SM_OK : SM_CORRUPT;
    }
    cycle_end(mb, m, suspect)->m_next = 0;
    return SM_OK;
}

enum sm_err m_sanity(struct sm_mb *mb, struct mbuf *m, bool sanitize) {
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    while (sanitize && err == SM_CORRUPT && repair(mb, m, &span) == SM_OK) { /* one fault each time */
        err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    }
    if (err != SM_OK || !(m->m_flags & M_PKTHDR) || m->m_pkthdr.ph_len == span.sp_bytes) {
        return err;
    }
    if (!sanitize || span.sp_bytes > UINT32_MAX) {
        return SM_CORRUPT;
    }
    m->m_pkthdr.ph_len = (uint32_t)span.sp_bytes;
    return SM_OK;
}

/* ---------------------------------------------------------------- m_print */

struct print {
    char *p_text;
    uint64_t p_room, p_length;
};

__attribute__((format(printf, 2, 3))) static void put(struct print *p, const char *fmt, ...) {
    char line[160];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    for (int i = 0; i < n; i++) {
        if (p->p_length + 1 < p->p_room) {
            p->p_text[p->p_length] = line[i];
        }
        p->p_length++;
    }
}

static void put_flags(struct print *p, uint32_t flags) {
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{M_VLANTAG, "vlantag"},
                 {M_FREELIST, "freelist"},
                 {M_SKIP_FIREWALL, "skipfw"},
                 {M_LASTFRAG, "lastfrag"},
                 {M_FIRSTFRAG, "firstfrag"},
                 {M_FRAG, "frag"},
                 {M_MCAST, "mcast"},
                 {M_BCAST, "bcast"},
                 {M_PROTO5, "proto5"},
                 {M_PROTO4, "proto4"},
                 {M_PROTO3, "proto3"},
                 {M_PROTO2, "proto2"},
                 {M_PROTO1, "proto1"},
                 {M_RDONLY, "rdonly"},
                 {M_EOR, "eor"},
                 {M_PKTHDR, "pkthdr"},
                 {M_EXT, "ext"}};
    const char *before = "<";
    put(p, "%x", flags);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (flags & names[i].bit) {
            put(p, "%s%s", before, names[i].name);
            before = ",";
        }
    }
    put(p, "%s", *before == ',' ? ">" : "");
}

static void put_bytes(struct print *p, const uint8_t *data, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        put(p, "%s%02x", i == 0 ? ", " : "-", data[i]);
    }
}

uint64_t m_print(struct sm_mb *mb, const struct mbuf *m, int64_t max, char *text, uint64_t room) {
    struct print p = {text, room, 0};
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, false, SM_MB_WHOLE, &span);
    bool header = span.sp_mbufs != 0 && m->m_flags & M_PKTHDR;
    uint64_t left = header ? m->m_pkthdr.ph_len : 0;
    if (m == NULL) {
        put(&p, "mbuf: (null)\n");
    }
    for (uint64_t i = 0; i < span.sp_mbufs && (!header || left > 0); i++, m = m_nextm(mb, m)) {
        uint64_t shown = max < 0 || m_len(m) < (uint64_t)max ? m_len(m) : (uint64_t)max;
        put(&p, "mbuf: %#llx len: %u, next: %#llx, ", (unsigned long long)m_off(mb, m), m_len(m),
            (unsigned long long)m->m_next);
        put_flags(&p, m->m_flags);
        put_bytes(&p, mtod(mb, m), shown);
        put(&p, "\n");
        left -= !header ? 0 : left < m_len(m) ? left : m_len(m);
    }
    if (left > 0) {
        put(&p, "%llu bytes unaccounted for.\n", (unsigned long long)left);
    }
    if (err != SM_OK && m != NULL) {
        put(&p, "the chain breaks after %llu mbufs: %s\n", (unsigned long long)span.sp_mbufs, sm_err_text(err));
    }
    if (room > 0) {
        text[p.p_length < room ? p.p_length : room - 1] = '\0';
    }
    mb->mb_err = err;
    return p.p_length;
}
