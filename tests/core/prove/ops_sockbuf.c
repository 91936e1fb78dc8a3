/* ops_sockbuf.c - sockbufs: what a process leaves that dies while it appends, takes or drops. Each operation is one
 * PROVE_OP. The verdict empties the sockbuf and finds its bytes to be those before or after the operation.
 * Source: prove.h.
 */
#include "core/sockbuf.h"

#include "mbufs.h"

#define MBUF_OP(id, name, ...) PROVE_OP(id, name, .o_flags = PROVE_MBUFS, __VA_ARGS__)
#define CLUSTERS 24
#define MBUFS 64
#define RECORD 1200

static struct mbuf *must(struct sm_mb *mb, struct mbuf *m) {
    if (m == NULL) {
        prove_die(__FILE__, __LINE__, "no mbuf: %s", sm_err_name(mb->mb_err));
    }
    return m;
}

static struct mbuf *packet(struct sm_mb *mb, uint32_t key, uint32_t len) {
    struct mbuf *m = must(mb, m_getm2(mb, NULL, len, SM_M_NOWAIT, MT_DATA, M_PKTHDR));
    prove_fill_packet(mb, m, key, len);
    return m;
}

static struct sm_sockbuf *sockbuf(struct prove_cpu *c) {
    struct sm_sockbuf *sb;
    MUST_OK(sm_sockbuf_open(prove_mb(c->c_arena), "sb", &sb));
    return sb;
}

static void world_empty(struct prove_cpu *s) {
    const struct sm_mb_params p = {.mp_maxusers = 32, .mp_nmbclusters = CLUSTERS};
    struct sm_sockbuf *sb;
    struct sm_mb *mb;
    uint64_t effective;
    MUST_OK(sm_mb_open(s->c_arena, &p, &mb));
    MUST_OK(sm_zone_set_max(mb->mb_zone[SM_MBZ_MBUF], MBUFS, &effective));
    MUST_OK(sm_sockbuf_create(mb, "sb", 65536, 0, &sb));
    sm_sockbuf_close(sb);
    s->c_packet[0] = packet(mb, 0, 700);
    s->c_packet_len[0] = 700;
    s->c_packets = 1;
}

static void world_filled(struct prove_cpu *s) {
    world_empty(s);
    struct sm_sockbuf *sb = sockbuf(s);
    struct sm_mb *mb = prove_mb(s->c_arena);
    for (uint32_t i = 0; i < 3; i++) {
        MUST_OK(sbappendrecord(sb, packet(mb, 10 + i, RECORD + i)));
    }
    sm_sockbuf_close(sb);
}

static void setup_packets(struct prove_cpu *v) {
    struct sm_mb *mb = prove_mb(v->c_arena);
    v->c_item[0] = packet(mb, 20, 900);
    v->c_item[1] = packet(mb, 21, 60);
    v->c_item[2] = packet(mb, 22, 3000);
    v->c_items = 3;
}

static void run_append(struct prove_cpu *v) {
    struct sm_sockbuf *sb = sockbuf(v);
    for (uint32_t i = 0; i < v->c_items; i++) {
        MUST_OK(sbappend(sb, v->c_item[i]));
    }
    sm_sockbuf_close(sb);
}

static void run_append_record(struct prove_cpu *v) {
    struct sm_sockbuf *sb = sockbuf(v);
    for (uint32_t i = 0; i < v->c_items; i++) {
        MUST_OK(sbappendrecord(sb, v->c_item[i]));
    }
    sm_sockbuf_close(sb);
}

static void run_append_addr(struct prove_cpu *v) {
    struct sm_sockbuf *sb = sockbuf(v);
    MUST_OK(sbappendaddr(sb, "somewhere", 9, v->c_item[0], NULL, SM_M_NOWAIT));
    sm_sockbuf_close(sb);
}

static void run_drop(struct prove_cpu *v) {
    struct sm_sockbuf *sb = sockbuf(v);
    MUST_OK(sbdrop(sb, 500));
    MUST_OK(sbdrop(sb, RECORD));
    sm_sockbuf_close(sb);
}

static void run_drop_record(struct prove_cpu *v) {
    struct sm_sockbuf *sb = sockbuf(v);
    MUST_OK(sbdroprecord(sb));
    sm_sockbuf_close(sb);
}

static void run_receive(struct prove_cpu *v) {
    struct sm_sockbuf *sb = sockbuf(v);
    struct mbuf *m;
    MUST_OK(sbreceive(sb, 300, SM_M_NOWAIT, &m));
    MUST_OK(sbreceive(sb, RECORD, SM_M_NOWAIT, &m));
    sm_sockbuf_close(sb);
}

static void run_flush(struct prove_cpu *v) {
    struct sm_sockbuf *sb = sockbuf(v);
    MUST_OK(sbflush(sb));
    sm_sockbuf_close(sb);
}

static void run_create(struct prove_cpu *v) {
    struct sm_sockbuf *sb;
    MUST_OK(sm_sockbuf_create(prove_mb(v->c_arena), "another", 4096, 0, &sb));
    MUST_OK(sm_sockbuf_destroy(sb));
    sm_sockbuf_close(sb);
}

MBUF_OP(append, "sbappend", .o_world = world_empty, .o_setup = setup_packets, .o_run = run_append)
MBUF_OP(append_more, "sbappend-more", .o_world = world_filled, .o_setup = setup_packets, .o_run = run_append)
MBUF_OP(append_record, "sbappendrecord", .o_world = world_filled, .o_setup = setup_packets, .o_run = run_append_record)
MBUF_OP(append_addr, "sbappendaddr", .o_world = world_filled, .o_setup = setup_packets, .o_run = run_append_addr)
MBUF_OP(drop, "sbdrop", .o_world = world_filled, .o_run = run_drop)
MBUF_OP(drop_record, "sbdroprecord", .o_world = world_filled, .o_run = run_drop_record)
MBUF_OP(receive, "sbreceive", .o_world = world_filled, .o_run = run_receive)
MBUF_OP(flush, "sbflush", .o_world = world_filled, .o_run = run_flush)
MBUF_OP(create, "sockbuf-create", .o_world = world_filled, .o_run = run_create)
