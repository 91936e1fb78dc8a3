/* peer_dpdk.c - DPDK's rte_mempool with its per-lcore cache, rte_pktmbuf on it, and rte_ring between two processes.
 * Needs no huge pages and no privileges: the memory is one memfd, mapped shared. The second process is a fork that
 * takes an lcore number of its own, and with it a mempool cache of its own: what a secondary process would do, which
 * DPDK itself supports only with huge pages. Source: DPDK Programmer's Guide, "Memory Pool Library", "Ring Library".
 */
#include "harness.h"

#include "duo.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#define ITEMS 8191u
#define CACHE 512u
#define RING 1024u
#define CROSS_ITEMS 32768u

static struct rte_mempool *items;
static struct rte_ring *ring;
static struct rte_mempool *packets;

static bool pair_batch(void *ctx, uint64_t n) {
    struct rte_mempool *mp = ctx;
    for (uint64_t i = 0; i < n; i++) {
        void *p;
        if (rte_mempool_get(mp, &p) != 0) {
            return false;
        }
        bench_use(p);
        rte_mempool_put(mp, p);
    }
    return true;
}

static bool packet_batch(void *ctx, uint64_t n) {
    struct rte_mempool *mp = ctx;
    for (uint64_t i = 0; i < n; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(mp);
        if (m == NULL) {
            return false;
        }
        bench_use(m);
        rte_pktmbuf_free(m);
    }
    return true;
}

static bool bulk_batch(void *ctx, uint64_t n) {
    struct rte_mempool *mp = ctx;
    void *item[BENCH_BULK];
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        if (rte_mempool_get_bulk(mp, item, BENCH_BULK) != 0) {
            return false;
        }
        void *all = item;
        bench_use(all);
        rte_mempool_put_bulk(mp, item, BENCH_BULK);
    }
    return true;
}

static bool cross_open(void *ctx) {
    (void)ctx;
    RTE_PER_LCORE(_lcore_id) = 1;
    return true;
}

static bool cross_put(void **item) {
    double give_up = 0;
    while (rte_ring_mp_enqueue_bulk(ring, item, BENCH_BULK, NULL) == 0) {
        rte_pause();
        if (give_up == 0) {
            give_up = bench_now_ns() + DUO_PATIENCE_NS;
        } else if (bench_now_ns() > give_up) {
            bench_refuse("the ring stays full");
            return false;
        }
    }
    return true;
}

/* One call an item to allocate and to free; the ring takes 64 at a time. */
static bool cross_produce(void *ctx, uint64_t n) {
    void *item[BENCH_BULK];
    (void)ctx;
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        for (unsigned k = 0; k < BENCH_BULK; k++) {
            if (rte_mempool_get(items, &item[k]) != 0) {
                bench_refuse("the mempool is empty");
                return false;
            }
            *(uint64_t *)item[k] = i + k;
        }
        if (!cross_put(item)) {
            return false;
        }
    }
    return true;
}

static bool cross_consume(void *ctx, uint64_t n) {
    void *item[BENCH_BULK];
    (void)ctx;
    for (uint64_t i = 0; i < n;) {
        unsigned got = rte_ring_mc_dequeue_burst(ring, item, BENCH_BULK, NULL);
        for (unsigned k = 0; k < got; k++) {
            if (*(uint64_t *)item[k] != i + k) {
                return false;
            }
            rte_mempool_put(items, item[k]);
        }
        i += got;
    }
    return true;
}

/* The same with bulk calls everywhere. */
static bool bulk_produce(void *ctx, uint64_t n) {
    void *item[BENCH_BULK];
    (void)ctx;
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        if (rte_mempool_get_bulk(items, item, BENCH_BULK) != 0) {
            bench_refuse("the mempool is empty");
            return false;
        }
        for (unsigned k = 0; k < BENCH_BULK; k++) {
            *(uint64_t *)item[k] = i + k;
        }
        if (!cross_put(item)) {
            return false;
        }
    }
    return true;
}

static bool bulk_consume(void *ctx, uint64_t n) {
    void *item[BENCH_BULK];
    (void)ctx;
    for (uint64_t i = 0; i < n;) {
        unsigned got = rte_ring_mc_dequeue_burst(ring, item, BENCH_BULK, NULL);
        for (unsigned k = 0; k < got; k++) {
            if (*(uint64_t *)item[k] != i + k) {
                return false;
            }
        }
        if (got != 0) {
            rte_mempool_put_bulk(items, item, got);
        }
        i += got;
    }
    return true;
}

static const struct duo_work cross_work = {cross_open, cross_produce, cross_consume, NULL};
static const struct duo_work cross_bulk_work = {cross_open, bulk_produce, bulk_consume, NULL};

static double run_pair(void) {
    return bench_best(pair_batch, items);
}

static double run_packet(void) {
    return bench_best(packet_batch, packets);
}

static double run_bulk(void) {
    return bench_best(bulk_batch, items);
}

static double run_cross(void) {
    return duo_best(&cross_work, NULL, CROSS_ITEMS);
}

static double run_cross_bulk(void) {
    return duo_best(&cross_bulk_work, NULL, CROSS_ITEMS);
}

static const struct bench_case cases[] = {{"pair", run_pair},
                                          {"packet", run_packet},
                                          {"bulk", run_bulk},
                                          {"cross", run_cross},
                                          {"cross_bulk", run_cross_bulk}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    char core[16], prefix[32];
    snprintf(core, sizeof core, "0@%d", bench_core[0]);
    snprintf(prefix, sizeof prefix, "bench-%ld", (long)getpid());
    char *eal[] = {"bench", "--no-huge",         "--no-shconf", "--no-pci", "--no-telemetry", "-m",
                   "128",   "--log-level=error", "--lcores",    core,       "--file-prefix",  prefix,
                   NULL};
    int fd = dup(STDOUT_FILENO); /* EAL writes its banners to stdout */
    dup2(STDERR_FILENO, STDOUT_FILENO);
    int started = rte_eal_init((int)(sizeof eal / sizeof eal[0]) - 1, eal);
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    if (started < 0) {
        fprintf(stderr, "rte_eal_init: %s\n", rte_strerror(rte_errno));
        return 1;
    }
    items = rte_mempool_create("items", ITEMS, BENCH_ITEM_BYTES, CACHE, 0, NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
    ring = rte_ring_create("ring", RING, SOCKET_ID_ANY, 0);
    packets = rte_pktmbuf_pool_create("packets", ITEMS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (items == NULL || ring == NULL || packets == NULL) {
        fprintf(stderr, "rte_mempool_create, rte_ring_create or rte_pktmbuf_pool_create: %s\n",
                rte_strerror(rte_errno));
        return 1;
    }
    return BENCH_SERVE(cases);
}
