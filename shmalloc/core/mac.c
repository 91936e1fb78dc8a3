/* mac.c - labels of packet headers. */
#include "mbuf_impl.h"

enum sm_err sm_mac_init_mbuf(struct sm_mb *mb, struct mbuf *m, int how) {
    (void)mb, (void)m, (void)how;
    return SM_OK;
}

enum sm_err sm_mac_copy_mbuf(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from, int how) {
    (void)mb, (void)to, (void)from, (void)how;
    return SM_OK;
}

void sm_mac_destroy_tag(struct sm_mb *mb, struct m_tag *t) {
    (void)mb, (void)t;
}
