/* mbuf_stats.h - the figures of netstat -m and systat -mbufs as one plain record. Owns no lock and writes nothing; what
 * the zones' figures take is in stats.h. After FreeBSD's netstat/mbuf.c.
 *
 *   An item CACHED in the packet zone holds a cluster that the cluster zone counts as out. So
 *       clusters  current = used by the cluster zone - cached packets    cache = its free ones + cached packets
 *       mbufs     current = used by zone mbuf + by zone mbuf_packet      cache = free of both
 *   and a packet's cluster is among the clusters in use, never counted with the packet again. Differences to the kernel:
 *   an mbuf changes between its two zones when its cluster goes (rezone in mbuf_ext.c), so every packet in use has its
 *   cluster; tags are a zone, not a malloc type, and their free ones are no part of the bytes, as there.
 *
 *   current + cache = total in every line, and the bytes are the sum of the lines, also when others work meanwhile: what
 *   was read at two moments is bounded, not corrected.
 */
#ifndef SM_MBUF_STATS_H
#define SM_MBUF_STATS_H

#include "arena.h"
#include "layout_mbuf.h"

struct sm_mb_use { /* one line, in items of mu_item_bytes */
    uint64_t mu_item_bytes;
    uint64_t mu_current, mu_cache, mu_total;
    uint64_t mu_max; /* effective limit, 0: none */
    uint64_t mu_denied; /* requests that failed */
    uint64_t mu_delayed; /* requests that slept */
};
struct sm_mb_bytes {
    uint64_t by_current, by_cache, by_total;
};
struct sm_mb_stats {
    struct sm_mb_use nm_mbufs; /* of both zones of the keg; denied and delayed: of zone mbuf alone */
    struct sm_mb_use nm_clusters;
    struct sm_mb_use nm_packets; /* mbufs and clusters counted above already */
    struct sm_mb_use nm_jumbop, nm_jumbo9, nm_jumbo16;
    struct sm_mb_use nm_tags;
    struct sm_mb_use nm_extrefs; /* counters of storage that is no cluster; the storage itself is its zone's */
    struct sm_mb_bytes nm_bytes;
    uint64_t nm_drain_calls;
    uint64_t nm_drained_ns; /* CLOCK_MONOTONIC of the last, 0: never */
    uint64_t nm_labels_made, nm_labels_ended, nm_labels_reaped;
    uint32_t nm_label_mode; /* MAC_LABELS_* */
    uint32_t nm_maxusers;
    /* mbufs that are out, by m_type; MT_NOTMBUF: taken and not yet typed; nm_type_unknown: no type at all */
    uint64_t nm_type[MT_NTYPES];
    uint64_t nm_type_unknown;
};

/* SM_NOT_FOUND: this arena has no mbufs. SM_CORRUPT: their region or their zones make no sense. Any attachment, a
 * read-only one and that of a dump too. Looks at the word of every mbuf once. */
enum sm_err sm_mb_stats(struct sm_arena *a, struct sm_mb_stats *out);

#endif
