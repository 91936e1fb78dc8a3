/* mbuf_data.c - reading and measuring chains. Takes no lock; changes nothing but what its name says. After uipc_mbuf.c. */
#include "mbuf_impl.h"

uint64_t m_length(struct sm_mb *mb, const struct mbuf *m, struct mbuf **last) {
    uint64_t len = 0, most = sm_mb_most(mb);
    const struct mbuf *end = m;
    mb->mb_err = SM_OK;
    for (const struct mbuf *n = m; n != NULL; n = m_nextm(mb, n)) {
        if (most-- == 0) {
            mb->mb_err = SM_CORRUPT; /* more mbufs than there are: a cycle */
            break;
        }
        len += m_len(n);
        end = n;
    }
    if (last != NULL) {
        *last = (struct mbuf *)end;
    }
    return len;
}

uint64_t m_fixhdr(struct sm_mb *mb, struct mbuf *m) {
    uint64_t len = m_length(mb, m, NULL);
    m->m_pkthdr.ph_len = (uint32_t)len;
    return len;
}
