/* stats.h - plain records of what is going on. Takes the keg lock for exact zone figures when the attachment is
 * writable; a read-only attachment gets a racy but bounded reading. Writes nothing.
 */
#ifndef SM_STATS_H
#define SM_STATS_H

#include "event.h"
#include "zone.h"

struct sm_zone_stats {
    char zs_name[SM_NAME_BYTES];
    char zs_master[SM_NAME_BYTES];
    uint32_t zs_id, zs_flags;
    uint64_t zs_item_bytes, zs_stride_bytes, zs_align;
    uint64_t zs_items_per_slab, zs_pages_per_slab, zs_efficiency; /* percent x 100 */
    uint64_t zs_limit;  /* effective, items; 0 none */
    uint64_t zs_used;   /* out of the allocator: allocs - frees */
    uint64_t zs_free;   /* in slabs, full buckets and CPUs' buckets: what vmstat -z calls FREE */
    uint64_t zs_keg_free, zs_bucket_free, zs_cpu_free;
    uint64_t zs_allocs, zs_frees, zs_fails, zs_sleeps, zs_init_fails;
    uint64_t zs_slabs, zs_pages, zs_bucket_size, zs_bucket_max;
    uint64_t zs_wss, zs_imin, zs_imax, zs_reserve, zs_waiters;
    uint64_t zs_meta_bytes; /* state blocks of its slabs */
};
struct sm_cpu_zone_stats {
    uint64_t cz_allocs, cz_frees, cz_fails, cz_sleeps, cz_cached;
};
struct sm_cpu_stats {
    uint32_t cs_id, cs_state, cs_pid, cs_uid;
    bool cs_alive;
    uint64_t cs_op, cs_start, cs_gen, cs_visits;
    int64_t cs_attached_ns;
    char cs_name[SM_NAME_BYTES];
};
struct sm_queue_stats {
    char qs_name[SM_NAME_BYTES];
    uint64_t qs_length, qs_depth, qs_puts, qs_gets, qs_item_waiters, qs_space_waiters;
};
struct sm_type_stats {
    char ms_name[SM_NAME_BYTES];
    uint64_t ms_in_use, ms_bytes, ms_requests, ms_fails, ms_sizes; /* sizes: bit i is class i */
};
struct sm_arena_stats {
    uint64_t as_object_bytes, as_allocated_bytes, as_max_bytes;
    uint64_t as_frontier_pages, as_free_pages, as_hole_pages, as_used_pages, as_meta_pages, as_punched_pages;
    uint64_t as_buckets, as_attaches, as_events;
    uint32_t as_max_cpus, as_live_cpus, as_dead_cpus, as_zones, as_queues, as_types;
    uint64_t as_uuid;
    int64_t as_created_ns;
    uint32_t as_flags, as_version, as_owner_uid, as_creator_pid;
};

struct
    sm_core_lock_stats { /* one of the allocator's own locks that is held, or waits to be rebuilt after its holder died */
    uint32_t cl_class; /* enum sm_lock_class */
    uint32_t cl_instance; /* keg */
    uint32_t cl_cpu; /* holder, SM_CPU_NONE when it is only dirty */
    bool cl_dirty;
};

/* SM_NOT_FOUND for an id not in use: count ids from 0 to the table's size. */
enum sm_err sm_stats_zone(struct sm_arena *a, uint32_t id, struct sm_zone_stats *out);
enum sm_err sm_stats_cpu_zone(struct sm_arena *a, uint32_t cpu, uint32_t zone, struct sm_cpu_zone_stats *out);
enum sm_err sm_stats_cpu(struct sm_arena *a, uint32_t cpu, struct sm_cpu_stats *out);
enum sm_err sm_stats_queue(struct sm_arena *a, uint32_t id, struct sm_queue_stats *out);
enum sm_err sm_stats_type(struct sm_arena *a, uint32_t id, struct sm_type_stats *out);
enum sm_err sm_stats_arena(struct sm_arena *a, struct sm_arena_stats *out);
/* The place-th lock: quiesce, admin, page, then the kegs', then the sockbufs'. SM_EMPTY: it is free; SM_NOT_FOUND: there are
 * no more. Racy. */
enum sm_err sm_stats_core_lock(struct sm_arena *a, uint32_t place, struct sm_core_lock_stats *out);

#endif
