/* ops_mac.c - labels and policies: packets with labels got, copied and freed, policies made and ended, the switch. Each
 * operation is one PROVE_OP. That no label is lost or counted twice is what I18 says of them. Source: prove.h.
 */
#include "prove.h"

static struct mbuf *first, *second; /* the victim's */

static struct sm_mb *mbufs(struct prove_cpu *c) {
    static const struct sm_mb_params p = {0, -1, -1, -1, -1, 0};
    struct sm_mb *mb;
    MUST_OK(sm_mb_open(c->c_arena, &p, &mb));
    return mb;
}

static void world_plain(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "message", .zp_bytes = 128}, 32);
    prove_hold(s, 0, 2);
    (void)mbufs(s);
}

static void world_labelled(struct prove_cpu *s) {
    uint32_t slot;
    world_plain(s);
    MUST_OK(sm_mac_test_register(mbufs(s), &slot));
    MUST_OK(sm_mac_set_labelling(mbufs(s), MAC_LABELS_BY_POLICY));
}

/* Buckets filled, callbacks found: what follows is the labels' part alone. */
static void setup_warm(struct prove_cpu *v) {
    struct sm_mb *mb = mbufs(v);
    first = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    second = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    MUST(first != NULL && second != NULL);
    MUST_OK(m_freem(mb, first));
    MUST_OK(m_freem(mb, second));
}

static void setup_two(struct prove_cpu *v) {
    first = m_gethdr(mbufs(v), SM_M_NOWAIT, MT_DATA);
    second = m_getcl(mbufs(v), SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    MUST(mac_mbuf_label(mbufs(v), first) != NULL && mac_mbuf_label(mbufs(v), second) != NULL);
}

static void run_gethdr(struct prove_cpu *v) {
    MUST(m_gethdr(mbufs(v), SM_M_NOWAIT, MT_DATA) != NULL);
}

static void run_getcl(struct prove_cpu *v) {
    MUST(m_getcl(mbufs(v), SM_M_NOWAIT, MT_DATA, M_PKTHDR) != NULL);
}

static void run_copy(struct prove_cpu *v) {
    MUST_OK(m_tag_copy_chain(mbufs(v), second, first, SM_M_NOWAIT));
}

static void run_free(struct prove_cpu *v) {
    MUST_OK(m_freem(mbufs(v), second));
}

static void run_register(struct prove_cpu *v) {
    uint32_t slot;
    MUST_OK(sm_mac_test_register(mbufs(v), &slot));
}

static void run_unregister(struct prove_cpu *v) {
    MUST_OK(sm_mac_unregister(mbufs(v), MAC_TEST_NAME));
}

static void run_switch(struct prove_cpu *v) {
    MUST_OK(sm_mac_set_labelling(mbufs(v), MAC_LABELS_OFF));
}

PROVE_OP(mac_gethdr, "mac-gethdr", .o_world = world_labelled, .o_setup = setup_warm, .o_run = run_gethdr,
         .o_flags = PROVE_MBUFS)
PROVE_OP(mac_getcl, "mac-getcl", .o_world = world_labelled, .o_setup = setup_warm, .o_run = run_getcl,
         .o_flags = PROVE_MBUFS)
PROVE_OP(mac_copy, "mac-copy", .o_world = world_labelled, .o_setup = setup_two, .o_run = run_copy,
         .o_flags = PROVE_MBUFS)
PROVE_OP(mac_free, "mac-free", .o_world = world_labelled, .o_setup = setup_two, .o_run = run_free,
         .o_flags = PROVE_MBUFS)
PROVE_OP(mac_register, "mac-register", .o_world = world_plain, .o_run = run_register, .o_flags = PROVE_MBUFS)
PROVE_OP(mac_unregister, "mac-unregister", .o_world = world_labelled, .o_run = run_unregister, .o_flags = PROVE_MBUFS)
PROVE_OP(mac_switch, "mac-switch", .o_world = world_labelled, .o_run = run_switch, .o_flags = PROVE_MBUFS)
