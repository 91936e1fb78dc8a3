/* ours_mbuf.c - shmalloc's mbufs in one process: a packet with its cluster, got and freed; beside the bare zone pair. */
#include "ours.h"

#define CLUSTERS 8192

static struct sm_mb *mb;
static struct sm_zone *zone;

/* What a C program writes: the inline path, and the call for everything it does not do. */
static inline struct mbuf *get_packet(struct sm_mb *b) {
    uint64_t *word;
    struct mbuf *m = m_getcl_cached(b, MT_DATA, M_PKTHDR, &word);
    return sm_likely(m != NULL) ? m : m_getcl(b, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
}

static bool inline_batch(void *ctx, uint64_t n) {
    struct sm_mb *b = ctx;
    for (uint64_t i = 0; i < n; i++) {
        struct mbuf *m = get_packet(b);
        bench_use(m);
        if (sm_unlikely(m == NULL) || sm_unlikely(!(m->m_next == 0 && m_free_cached(b, m)) && m_freem(b, m) != SM_OK)) {
            return false;
        }
    }
    return true;
}

static bool getcl_batch(void *ctx, uint64_t n) {
    struct sm_mb *b = ctx;
    for (uint64_t i = 0; i < n; i++) {
        struct mbuf *m = m_getcl(b, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
        bench_use(m);
        if (sm_unlikely(m == NULL) || sm_unlikely(m_freem(b, m) != SM_OK)) {
            return false;
        }
    }
    return true;
}

/* What m_getcl replaces: two zones, and the cluster attached by hand. */
static bool clget_batch(void *ctx, uint64_t n) {
    struct sm_mb *b = ctx;
    for (uint64_t i = 0; i < n; i++) {
        struct mbuf *m = m_gethdr(b, SM_M_NOWAIT, MT_DATA);
        if (sm_unlikely(m == NULL) || sm_unlikely(!m_clget(b, m, SM_M_NOWAIT))) {
            return false;
        }
        bench_use(m);
        if (sm_unlikely(m_freem(b, m) != SM_OK)) {
            return false;
        }
    }
    return true;
}

/* A copy that shares the cluster, and its end. */
static bool copy_batch(void *ctx, uint64_t n) {
    struct sm_mb *b = ctx;
    struct mbuf *m = m_getcl(b, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    bool done = m != NULL;
    if (done) {
        m_set_len(m, 1500);
        m->m_pkthdr.ph_len = 1500;
    }
    for (uint64_t i = 0; done && i < n; i++) {
        struct mbuf *c = m_copypacket(b, m, SM_M_NOWAIT);
        bench_use(c);
        done = c != NULL && m_freem(b, c) == SM_OK;
    }
    return m_freem(b, m) == SM_OK && done;
}

static bool zone_batch(void *ctx, uint64_t n) {
    struct sm_zone *z = ctx;
    for (uint64_t i = 0; i < n; i++) {
        void *p = ours_alloc(z);
        bench_use(p);
        if (sm_unlikely(!ours_free(z, p))) {
            return false;
        }
    }
    return true;
}

static double run_inline(void) {
    return bench_best(inline_batch, mb);
}
static double run_getcl(void) {
    return bench_best(getcl_batch, mb);
}
static double run_clget(void) {
    return bench_best(clget_batch, mb);
}
static double run_copy(void) {
    return bench_best(copy_batch, mb);
}
static double run_zone(void) {
    return bench_best(zone_batch, zone);
}

static const struct bench_case cases[] = {
    {"inline", run_inline}, {"getcl", run_getcl}, {"clget", run_clget}, {"copy", run_copy}, {"zone", run_zone}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    const struct sm_mb_params p = {.mp_nmbclusters = CLUSTERS};
    struct sm_arena *a;
    int fd = ours_object();
    enum sm_err e = ours_arena(fd, 256u << 20, &a);
    if (e == SM_OK && (e = sm_mb_open(a, &p, &mb)) == SM_OK) {
        e = ours_zone(a, "items", BENCH_ITEM_BYTES, 1024, &zone);
    }
    if (e != SM_OK) {
        fprintf(stderr, "arena or mbufs: %s (%s)\n", sm_err_name(e), sm_err_text(e));
        return 1;
    }
    int status = BENCH_SERVE(cases);
    sm_arena_detach(a);
    sm_arena_close(a);
    close(fd);
    return status;
}
