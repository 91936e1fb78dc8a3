/* verdict_mbuf.c - is anything of the mbuf layer lost? The survivor's packets are whole, what is queued comes out as whole
 * packets, and what is ATTACHED counts as held where a keg is allocated to its limit. Source: verdict.c, layout_mbuf.h.
 */
#include <string.h>

#include "core/sockbuf.h"
#include "mbufs.h"

struct sm_mb *prove_mb(struct sm_arena *a) {
    struct sm_mb *mb = NULL;
    return sm_mb_find(a, &mb) == SM_OK ? mb : NULL;
}

/* Bytes of packet `key`: told apart by place and packet. */
static uint8_t byte_of(uint32_t key, uint64_t at) {
    return (uint8_t)(0x5a ^ (key * 37) ^ (at * 11));
}

void prove_fill_packet(struct sm_mb *mb, struct mbuf *m, uint32_t key, uint32_t len) {
    uint64_t at = 0;
    for (struct mbuf *n = m; n != NULL; n = m_nextm(mb, n)) {
        uint32_t here = len - (uint32_t)at < m_size(n) ? len - (uint32_t)at : m_size(n);
        m_set(n, m_start(mb, n), here);
        for (uint32_t i = 0; i < here; i++) {
            mtod(mb, n)[i] = byte_of(key, at++);
        }
    }
    m->m_pkthdr.ph_len = len;
}

/* NULL, or what is wrong. */
const char *prove_look_at_packet(struct sm_mb *mb, struct mbuf *m, uint32_t key, uint32_t len) {
    uint64_t at = 0;
    for (struct mbuf *n = m; n != NULL; n = m_nextm(mb, n)) {
        if (n->m_flags & M_EXT && m_refcnt(mb, n) == 0) {
            return "its storage is gone";
        }
        for (uint32_t i = 0; i < m_len(n); i++) {
            if (mtod(mb, n)[i] != byte_of(key, at++)) {
                return "a byte changed";
            }
        }
    }
    return at == len ? NULL : "its length changed";
}

struct attached_count {
    uint32_t ac_keg;
    uint64_t ac_items;
    const struct sm_arena *ac_arena;
};

static int count_attached(const struct sm_slab_ref *s, void *ctx) {
    struct attached_count *ac = ctx;
    for (uint32_t i = 0; s->sr_keg == ac->ac_keg && i < ac->ac_arena->a_kegs[s->sr_keg].k_items; i++) {
        ac->ac_items += SM_ST_KIND(s->sr_words[i]) == SM_ATTACHED;
    }
    return 0;
}

uint64_t prove_attached(const struct sm_arena *a, uint32_t keg) {
    struct attached_count ac = {.ac_keg = keg, .ac_arena = a};
    (void)sm_slab_each(a, 0, count_attached, &ac);
    return ac.ac_items;
}

bool prove_fill_area(struct sm_arena *a, const struct sm_zone *z, void *mem, uint8_t **bytes, uint32_t *n) {
    struct sm_mb *mb = prove_mb(a);
    *bytes = mem;
    *n = z->z_item_bytes;
    if (mb == NULL || z->z_keg_id != mb->mb_zone[SM_MBZ_MBUF]->z_keg_id) {
        return true;
    }
    struct mbuf *m = mem; /* its header stays as it is; shared storage is somebody else's, too */
    *bytes = mb->mb_base + m_start(mb, m);
    *n = m_size(m);
    return m_writable(mb, m);
}

bool prove_empty_sockbufs(struct sm_arena *a) {
    struct sm_mb *mb = prove_mb(a);
    bool whole = true;
    for (uint32_t i = 0; mb != NULL && i < SM_SOCKBUFS; i++) {
        struct sm_sockbuf_shm *shm = &mb->mb_shm->mb_sockbuf[i];
        struct sm_sockbuf *sb;
        struct mbuf *m = NULL;
        enum sm_err err;
        if (shm->sb_state != SM_ZONE_LIVE || sm_sockbuf_open(mb, shm->sb_name, &sb) != SM_OK) {
            continue;
        }
        whole = whole && sbcheck(sb) == SM_OK && sblastrecordchk(sb) == SM_OK && sblastmbufchk(sb) == SM_OK;
        uint64_t left = sbused(sb);
        while ((err = sbreceive(sb, M_COPYALL, SM_M_NOWAIT, &m)) == SM_OK) {
            left -= m_length(mb, m, NULL);
            whole = whole && m_freem(mb, m) == SM_OK;
        }
        whole = whole && err == SM_EMPTY && left == 0 && sbflush(sb) == SM_OK;
        sm_sockbuf_close(sb);
    }
    return whole;
}
