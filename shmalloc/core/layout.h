/* layout.h - every shared byte of an arena. No functions.
 *
 * This header is the design document of the format. Whatever is not here is not shared.
 *
 *  THE OBJECT (one POSIX shared-memory object, sparse; offsets grow downwards, sizes for the default geometry)
 *
 *      +-----------------------+ 0
 *      | header      1 page    |  what an attaching process verifies before it touches anything else
 *      | control     2 pages   |  locks, counters, page-run bins, tunables
 *      | cpus        64 slots  |  one per attached process: op word, claim word, identity
 *      | zones kegs queues     |  tables of fixed records; an id is an index
 *      | locks       256       |  users' locks: the lock word names its owner
 *      | lock holds  lock x cpu|  what each CPU holds of a lock that many may hold, and how many of its threads wait
 *      | caches      cpu x zone|  the per-CPU alloc/free bucket pair and counters
 *      | types       cpu x type|  malloc(9) types and their per-CPU counters
 *      | events      ring      |  warnings, recoveries: fixed size, oldest overwritten
 *      | sites       sparse    |  texts of allocation sites, append-only; committed with the first traced zone
 *      | buckets     sparse    |  arrays of {item, state word} offsets
 *      | extra       sparse    |  regions of the companions (witness, faultinj)
 *      | page dir    sparse    |  8 bytes a data page: THE TRUTH about pages
 *      | page links  sparse    |  8 bytes a data page: list links of slabs and free runs (derived)
 *      | meta dir    sparse    |  8 bytes a meta page: which keg's blocks it holds (truth)
 *      | meta        sparse    |  state blocks: THE TRUTH about items, out of reach of an item's overrun
 *      +-----------------------+
 *      | data        sparse    |  slabs: items, and for inline kegs the slab header at the end
 *      +-----------------------+ max
 *
 *  A SLAB (keg "inline", 1,300-byte items)          A SLAB (keg "off-page", 2 KiB items)
 *      +--------+--------+--------+----+---+            +---------------+---------------+
 *      | item 0 | item 1 | item 2 |    |hdr|            |    item 0     |    item 1     |
 *      +--------+--------+--------+----+---+            +---------------+---------------+
 *      page entry -> state block in meta:               page entry -> state block in meta:
 *      | word 0 | word 1 | word 2 |                     | hdr | word 0 | word 1 | aux 0 | aux 1 |
 *
 *  LOCK KEY (a letter on every field)
 *      (c) constant after the object that holds it was published
 *      (q) quiesce lock: ctl_quiesce. Outermost. Claims CPUs, attaches, detaches, recovers.
 *      (a) admin lock:   ctl_admin. Tables of zones, kegs, queues, types, regions; tunables.
 *      (k) keg lock:     k_lock. Slabs of the keg, full buckets and counters of all zones on it. Never two at once.
 *      (p) page lock:    ctl_page. Page runs, the frontier, meta blocks, bucket free list. Innermost.
 *      (o) owner:        only the CPU that owns the slot, inside an operation (op word set); others after quiesce.
 *      (x) atomic:       any CPU, with the order named where it is used.
 *      (t) truth:        one aligned 64-bit store per transition; who may store depends on the kind, see KINDS.
 *      (d) derived:      a cache of the truth, rebuilt by recovery. Always beside the letter of its lock.
 *  Order of acquisition: q, a, k, p. A CPU waits for q only with its op word clear and no other lock held.
 *
 *  INVARIANTS (numbers are never reused; check_*.c has one function for each)
 *      I1  header: checksum, versions and every region in bounds, page-aligned, disjoint, inside the object.
 *      I2  page directory: a slab's pages carry the same keg and block and index 0..n-1; entries past the frontier are 0.
 *      I3  state word: legal kind; a live zone of the slab's keg unless FREE; a live CPU where the kind names one.
 *      I4  slab: header free count equals its FREE words, and the slab is on exactly the list that the count implies.
 *      I5  keg: slab, page and free counters equal the recount; slabs do not exceed the limit unless it was lowered.
 *      I6  bucket entry: names an item CACHED for its zone (in a cache: under its CPU), and that item's own state word.
 *      I7  an item is in exactly one of slab, bucket, user, queue, ticket, mbuf or sockbuf.
 *      I8  a bucket is in exactly one of: a cache, a zone's full list, the free list.
 *      I9  free runs: each is in the bin of its length once, ends agree, neighbours of a kind are merged, totals match.
 *      I10 state blocks: no two slabs share one; each lies in a meta page of its keg; the rest are on the free list.
 *      I11 queue: an occupied place names an item QUEUED on that queue; each QUEUED item has exactly one place.
 *      I12 counters: allocs - frees of a zone equal its items that are neither FREE nor CACHED.
 *      I13 CPU: a free slot holds no bucket, no item and a zero op word.
 *      I14 sleepers: a keg's waiter count equals the sum over its CPUs' caches.
 *      I15 malloc type: in-use and byte counters equal the recount from the items' tags.
 *      I16 lock: its word names a CPU or counts what its hold cells add up to; waiter counts equal the sum over the cells.
 *      I17 site: its text ends and has its hash; a trace record names no site, the full mark, or a finished site.
 *      I18 ATTACHED: each is reached, once unless it is storage, whose counter equals its mbufs; labels made = gone + alive.
 *      I19 sockbuf: byte and storage counts and both tails are those of its chain, which ends.
 */
#ifndef SM_LAYOUT_H
#define SM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"

typedef uint64_t sm_off_t; /* bytes from the start of the object; 0 is "none" (the header is never an item) */

#define SM_MAGIC 0x434f4c4c414d4853ull /* "SHMALLOC" in memory order */
#define SM_LAYOUT_VERSION 2u
#define SM_PAGE_SHIFT 12
#define SM_PAGE (1ull << SM_PAGE_SHIFT)
#define SM_CACHE_LINE 64

#define SM_NAME_BYTES 32      /* zone, queue and type names, with their NUL */
#define SM_CALLBACK_BYTES 72  /* "module:name" of a callback, with its NUL */
#define SM_MAX_REGIONS 28
#define SM_BUCKET_ITEMS 128   /* UMA's largest bucket */
#define SM_MAX_ALIGN SM_PAGE
#define SM_MIN_ITEM 16
#define SM_RUN_BINS 40        /* free page runs by floor(log2(pages)) */
#define SM_TUNABLES 32

/* Bytes of the object that carry open-file-description locks (they need not exist as data). */
#define SM_LOCKBYTE_CPU(slot) ((uint64_t)(slot)) /* held by the process that owns the slot, all its life */
#define SM_LOCKBYTE_FORMAT (1ull << 40)          /* held by the creator until the arena is ready */

/* ---------------------------------------------------------------- regions and header */

/*  OFFSET SIZE FIELD
 *       0   16 r_name      NUL-terminated
 *      16    8 r_off       page-aligned
 *      24    8 r_bytes     page multiple
 *      32    4 r_version   of the region's own format
 *      36    4 r_flags     SM_REGION_*
 */
struct sm_region_shm {
    char r_name[16];    /* (c) */
    sm_off_t r_off;     /* (c) */
    uint64_t r_bytes;   /* (c) */
    uint32_t r_version; /* (c) */
    uint32_t r_flags;   /* (c) */
};
_Static_assert(sizeof(struct sm_region_shm) == 40, "layout");

/* The fixed regions, at these places in the directory. */
enum sm_region_id {
    SM_R_CONTROL,
    SM_R_CPUS,
    SM_R_ZONES,
    SM_R_KEGS,
    SM_R_QUEUES,
    SM_R_LOCKS,
    SM_R_CACHES,
    SM_R_TYPES,
    SM_R_EVENTS,
    SM_R_SITES,
    SM_R_BUCKETS,
    SM_R_EXTRA,
    SM_R_PAGEDIR,
    SM_R_PAGELINKS,
    SM_R_METADIR,
    SM_R_META,
    SM_R_DATA,
    SM_R_FIXED
};
#define SM_REGION_SPARSE 1u /* committed piece by piece */

#define SM_ARENA_FENCED 1u  /* membarrier(2) is missing somewhere: owners pay a fence */
#define SM_ARENA_WITNESS 2u /* armed: whoever attaches arms itself too */
#define SM_ARENA_FAULTS 4u
#define SM_ARENA_COMPANIONS (SM_ARENA_WITNESS | SM_ARENA_FAULTS) /* (x) not in the checksum */
#define SM_ARENA_DUMP 8u /* a copy made by dump: read-only, its CPUs are as they were */
#define SM_ARENA_TRACE 16u /* every zone made in it is traced, malloc's too; the meta region is sized for that */

#define SM_STATE_FORMATTING 0u
#define SM_STATE_READY 0x59444552u /* "REDY" */

/*  OFFSET SIZE FIELD
 *       0    8 h_magic        SM_MAGIC
 *       8    4 h_version      SM_LAYOUT_VERSION
 *      12    4 h_checksum     of bytes 16 .. sizeof - 16 of this struct, FNV-1a folded to 32 bits
 *      16    4 h_header_bytes sizeof this struct
 *      20    4 h_page_bytes   SM_PAGE
 *      24    8 h_object_bytes size of the whole object
 *      32    8 h_max_bytes    of the data region
 *      40    8 h_uuid         random, never 0; tells two arenas of one name apart
 *      48    8 h_created_ns   CLOCK_REALTIME
 *      56    4 h_owner_uid
 *      60    4 h_creator_pid
 *      64    4 h_max_cpus
 *      68    4 h_max_zones    also the number of kegs
 *      72    4 h_max_queues
 *      76    4 h_max_types
 *      80    4 h_max_buckets
 *      84    4 h_max_events
 *      88    4 h_flags        SM_ARENA_*
 *      92    4 h_regions      entries in use when formatted
 *      96    4 h_max_sites
 *     100    4 h_pad0
 *     104    - h_region       SM_MAX_REGIONS entries; those past h_regions belong to (a) and are not in the checksum
 *    last   16 h_state ...    SM_STATE_READY stored last, with release order
 */
struct sm_header_shm {
    uint64_t h_magic;
    uint32_t h_version;
    uint32_t h_checksum;
    uint32_t h_header_bytes;
    uint32_t h_page_bytes;
    uint64_t h_object_bytes;
    uint64_t h_max_bytes;
    uint64_t h_uuid;
    int64_t h_created_ns;
    uint32_t h_owner_uid;
    uint32_t h_creator_pid;
    uint32_t h_max_cpus;
    uint32_t h_max_zones;
    uint32_t h_max_queues;
    uint32_t h_max_types;
    uint32_t h_max_buckets;
    uint32_t h_max_events;
    uint32_t h_flags;
    uint32_t h_regions;
    uint32_t h_max_sites;
    uint32_t h_pad0;
    struct sm_region_shm h_region[SM_MAX_REGIONS];
    uint32_t h_state; /* (x) */
    uint32_t h_pad[3];
};
_Static_assert(offsetof(struct sm_header_shm, h_region) == 104, "layout");
_Static_assert(sizeof(struct sm_header_shm) <= SM_PAGE, "layout");

/* ---------------------------------------------------------------- the truth: state words */

/*  STATE WORD, one per item, in the slab's state block
 *
 *      63                32 31   28 27      16 15       4 3    0
 *      +--------------------+-------+----------+---------+------+
 *      |     generation     | flags |   cpu    |  zone   | kind |
 *      +--------------------+-------+----------+---------+------+
 *
 *  KINDS and who may store over them
 *      FREE          in its slab                 keg lock holder
 *      CACHED        in a bucket                 the CPU or zone whose bucket it is (owner in an op; keg lock; quiesce)
 *      CONSTRUCTING  a callback is running       the CPU in the word; contents undefined: recovery skips the dtor
 *      HELD          a user's                    the CPU in the word
 *      QUEUED        in a queue, cpu = queue id  whoever claimed its place in the ring
 *      TICKETED      in transit, cpu = sender    whoever adopts it, by compare-and-swap
 *      ATTACHED      reached from mbufs or a     whoever holds what reaches it, inside an operation, and for storage that
 *                    sockbuf, cpu = none         several reach whoever gives up the last reference (layout_mbuf.h)
 *  A CACHED word names the CPU in whose cache its bucket is, or was before it came to the zone's list (I6).
 *  The generation grows by one each time the item leaves its user: to a bucket or a slab, into a queue, into a ticket. A
 *  handle carries the generation it was made under, so a handle of an earlier life is told apart.
 */
enum sm_kind { SM_FREE = 1, SM_CACHED, SM_CONSTRUCTING, SM_HELD, SM_QUEUED, SM_TICKETED, SM_ATTACHED, SM_KIND_END };

#define SM_ST_KIND_MASK 0xfull
#define SM_ST_ZONE_SHIFT 4
#define SM_ST_ZONE_MASK 0xfffull
#define SM_ST_CPU_SHIFT 16
#define SM_ST_CPU_MASK 0xfffull
#define SM_ST_FLAG_SHIFT 28
#define SM_ST_LOW_MASK 0xffffffffull
#define SM_ST_GEN_SHIFT 32
#define SM_ST_GEN_ONE (1ull << SM_ST_GEN_SHIFT)
#define SM_ST_GEN_MASK (~SM_ST_LOW_MASK)

#define SM_CPU_NONE 0xfffu /* no CPU: orphaned by a clean detach, kept for adoption */

#define SM_ST_LOW(kind, zone, cpu)                                                                                     \
    ((uint64_t)(kind) | ((uint64_t)(zone) << SM_ST_ZONE_SHIFT) | ((uint64_t)(cpu) << SM_ST_CPU_SHIFT))
#define SM_ST_KIND(w) ((enum sm_kind)((w) & SM_ST_KIND_MASK))
#define SM_ST_ZONE(w) ((uint32_t)(((w) >> SM_ST_ZONE_SHIFT) & SM_ST_ZONE_MASK))
#define SM_ST_CPU(w) ((uint32_t)(((w) >> SM_ST_CPU_SHIFT) & SM_ST_CPU_MASK))
#define SM_ST_GEN(w) ((uint32_t)((w) >> SM_ST_GEN_SHIFT))
/* Added to a word: CACHED becomes HELD by the same CPU; HELD becomes CACHED by it, one generation later. */
#define SM_ST_CACHED_TO_HELD ((uint64_t)SM_HELD - SM_CACHED)
#define SM_ST_FREE_DELTA (SM_ST_GEN_ONE - SM_ST_CACHED_TO_HELD)

/* ---------------------------------------------------------------- the truth: page directory */

/*  PAGE ENTRY, one per data page
 *
 *      63                         32 31            16 15       4 3    0
 *      +----------------------------+----------------+----------+------+
 *      | block: state block / 16,   |  index of page |   keg    | kind |
 *      | or run length when free    |  in slab, sat. | (or cpu) |      |
 *      +----------------------------+----------------+----------+------+
 *
 *  A slab is published by the store of its head entry (index 0), after its other entries; it is withdrawn by the
 *  store of its head entry, before them. A crash in between leaves followers without a head: free pages (I2).
 *  The index saturates at 65535: only slabs of one item are longer, and inside them only the head matters.
 */
enum sm_page_kind {
    SM_PG_NONE = 0,     /* past the frontier: never committed */
    SM_PG_FREE = 1,     /* committed, in a free run */
    SM_PG_HOLE = 2,     /* given back to the system, in a free run */
    SM_PG_RESERVED = 3, /* taken by the CPU in the keg field; its slab is not published yet */
    SM_PG_SLAB = 4,     /* part of a slab of the keg */
    SM_PG_RING = 5,     /* storage of the queue in the keg field */
    SM_PG_KIND_END
};
#define SM_PG_KIND_MASK 0xfull
#define SM_PG_KEG_SHIFT 4
#define SM_PG_KEG_MASK 0xfffull
#define SM_PG_IDX_SHIFT 16
#define SM_PG_IDX_MAX 0xffffull
#define SM_PG_BLK_SHIFT 32
#define SM_PG_ENTRY(kind, keg, idx, blk)                                                                               \
    ((uint64_t)(kind) | ((uint64_t)(keg) << SM_PG_KEG_SHIFT) |                                                         \
     ((uint64_t)((idx) < SM_PG_IDX_MAX ? (idx) : SM_PG_IDX_MAX) << SM_PG_IDX_SHIFT) |                                  \
     ((uint64_t)(blk) << SM_PG_BLK_SHIFT))
#define SM_PG_KIND(e) ((enum sm_page_kind)((e) & SM_PG_KIND_MASK))
#define SM_PG_KEG(e) ((uint32_t)(((e) >> SM_PG_KEG_SHIFT) & SM_PG_KEG_MASK))
#define SM_PG_IDX(e) ((uint32_t)(((e) >> SM_PG_IDX_SHIFT) & SM_PG_IDX_MAX))
#define SM_PG_BLK(e) ((uint32_t)((e) >> SM_PG_BLK_SHIFT))
#define SM_BLOCK_UNIT 16 /* state blocks start at multiples of this in the meta region */

/* Links of a slab (keyed by its head page) or of a free run (by its first page): page number + 1, 0 is none. */
struct sm_page_link_shm {
    uint32_t pl_next; /* (k) or (p), (d) */
    uint32_t pl_prev; /* (k) or (p), (d) */
};

/* META ENTRY, one per meta page: (keg + 1) << 16 | index of the page in its chunk; 0: nobody's. */
#define SM_META_ENTRY(keg, idx) (((uint64_t)(keg) + 1) << 16 | (uint64_t)(idx))
#define SM_META_KEG(e) ((uint32_t)((e) >> 16) - 1u)
#define SM_META_IDX(e) ((uint32_t)((e) & 0xffffu))
#define SM_META_CHUNK_MAX 16 /* pages */

/*  SLAB HEADER, 8 bytes: at the start of the state block (off-page) or at the end of the slab (inline). All derived.
 *  OFFSET SIZE FIELD
 *       0    2 s_free    FREE words
 *       2    2 s_hint    no FREE word below this index
 *       4    4 s_pages   pages of this slab (differs from the keg's only in the keg of page runs)
 */
struct sm_slab_shm {
    uint16_t s_free;  /* (k) (d) */
    uint16_t s_hint;  /* (k) (d) */
    uint32_t s_pages; /* (k) (d) but for page runs: constant while published, the run's entries repeat it */
};
_Static_assert(sizeof(struct sm_slab_shm) == 8, "layout");

/* ---------------------------------------------------------------- buckets and caches */

struct sm_entry {
    sm_off_t e_item; /* the item's first byte */
    sm_off_t e_word; /* its state word */
};

/*  OFFSET SIZE FIELD
 *       0    4 b_next   bucket id + 1 of the next on the list it is on
 *       4    4 b_count  entries in use while it is on a zone's list (a cache keeps its own count)
 *       8    4 b_zone   zone id + 1 while in use, 0 on the free list
 *      64 2048 b_entry  SM_BUCKET_ITEMS of {item, word}
 */
struct sm_bucket_shm {
    uint32_t b_next;  /* (k) or (p), (d) */
    uint32_t b_count; /* (k) (d) */
    uint32_t b_zone;  /* (k) or (p), (d) */
    uint32_t b_pad[13];
    struct sm_entry b_entry[SM_BUCKET_ITEMS]; /* (o) or (k), (d) */
};
_Static_assert(sizeof(struct sm_bucket_shm) == 64 + SM_BUCKET_ITEMS * 16, "layout");

/*  CACHE of one CPU for one zone
 *  OFFSET SIZE FIELD
 *       0    8 c_alloc      the bucket that allocations pop from
 *       8    8 c_free       the bucket that frees push to
 *      16    4 c_alloc_n    entries in it
 *      20    4 c_free_n
 *      24    4 c_size       entries a bucket of this cache may hold now (the zone's z_bucket_size when last looked)
 *      28    4 c_waiters    threads of this CPU asleep at the zone's limit
 *      32    8 c_allocs     counters of this CPU's life in this slot; folded into the zone at detach
 *      40    8 c_frees
 *      48    8 c_fails
 *      56    8 c_sleeps
 *      64    4 c_zone_gen   generation of the zone that the above belongs to
 */
struct sm_cache_shm {
    sm_off_t c_alloc;    /* (o) (d) */
    sm_off_t c_free;     /* (o) (d) */
    uint32_t c_alloc_n;  /* (o) (d) */
    uint32_t c_free_n;   /* (o) (d) */
    uint32_t c_size;     /* (o) */
    uint32_t c_waiters;  /* (k) */
    uint64_t c_allocs;   /* (o) read by anybody */
    uint64_t c_frees;    /* (o) read by anybody */
    uint64_t c_fails;    /* (o) read by anybody */
    uint64_t c_sleeps;   /* (o) read by anybody */
    uint32_t c_zone_gen; /* (o) */
    uint32_t c_pad[15];
};
_Static_assert(sizeof(struct sm_cache_shm) == 128, "layout");

/* ---------------------------------------------------------------- CPU slots */

/*  OP WORD: {operand: 48, zone or queue: 8 + 4, op: 4 + ...}: what the CPU is about to do, 0 when nothing. An ALLOC or a
 *  FREE without an operand is of a zone that does not keep: recovery frees what it finds HELD, seen by a user or not.
 *      63                        16 15       4 3..0
 *      +---------------------------+----------+----+
 *      | item offset / 8, or page  | zone id  | op |
 *      +---------------------------+----------+----+
 */
enum sm_op {
    SM_OP_NONE = 0,
    SM_OP_ALLOC = 1, /* pop an item and make it HELD or CONSTRUCTING */
    SM_OP_FREE = 2,  /* make a HELD item CACHED or FREE */
    SM_OP_SLOW = 3,  /* move items between buckets, slabs and pages under locks; nothing to undo but derived data */
    SM_OP_PUT = 4,   /* HELD -> QUEUED, then place it; operand: item, id: queue, op_arg: ring position */
    SM_OP_GET = 5,   /* take a place, then QUEUED -> HELD */
    SM_OP_XFER = 6,  /* HELD -> TICKETED, or an adoption */
    SM_OP_ADMIN = 7, /* tables */
    SM_OP_LOCK = 8,  /* a user's lock, id: lock: hold cell and lock word may disagree about this CPU */
    SM_OP_END
};
#define SM_OPWORD(op, id, operand) ((uint64_t)(op) | ((uint64_t)(id) << 4) | ((uint64_t)(operand) << 16))
#define SM_OP_OF(w) ((enum sm_op)((w) & 0xf))
#define SM_OP_ID(w) ((uint32_t)(((w) >> 4) & 0xfff))
#define SM_OP_OPERAND(w) ((uint64_t)((w) >> 16))
#define SM_OP_ITEM(off) ((uint64_t)(off) >> 3)
#define SM_OP_ITEM_BITS(off) ((uint64_t)(off) << 13) /* SM_OP_ITEM in its place: items are aligned to 16 */
#define SM_OP_BULK 1ull /* operand of an ALLOC of many: no item's; then cpu_op_arg is the bucket's height */

#define SM_CPU_FREE 0u
#define SM_CPU_LIVE 1u    /* claimed: its lock byte tells whether the process still lives */
#define SM_CPU_LEAVING 2u /* detaching, or being reaped: no new operation may start */

#define SM_CPU_WAITS 16
#define SM_WAIT_ITEM(queue) ((uint32_t)(queue) + 1u)
#define SM_WAIT_SPACE(queue) (((uint32_t)(queue) + 1u) | 1u << 31)

#define SM_CLAIM_QUIESCE 1u /* raised and lowered by the holder of (q): wait for it */
#define SM_CLAIM_POLICY 2u  /* a tunable wants every allocation to pass through the slow path; nobody waits */

/*  OFFSET SIZE FIELD
 *       0   64 cpu_wait      the queues at which threads of this CPU sleep: queue waiter counts are recounted from here
 *      64    8 cpu_op        op word
 *      72    8 cpu_op_arg    second operand
 *      80    4 cpu_claim     nonzero: leave the fast path; SM_CLAIM_QUIESCE: wait for (q) first
 *      84    4 cpu_visits    times somebody quiesced this CPU
 *     128    4 cpu_state     SM_CPU_*
 *     132    4 cpu_gen       grows at each claim of the slot
 *     136    4 cpu_pid       for people
 *     140    4 cpu_uid
 *     144    8 cpu_start     start time of the process, in ticks since boot, for people
 *     152    8 cpu_attached_ns  CLOCK_REALTIME
 *     160   32 cpu_name      for people
 *
 *  The owner's hot words are on the second line on purpose: slot 0 begins a page, and so do a first bucket and a first
 *  cache; on the first line of a page all of them would share one set of the processor's L1 cache (measured: 4.1 against
 *  3.7 ns a pair, and one process in twenty at 7.6).
 */
struct sm_cpu_shm {
    uint32_t cpu_wait[SM_CPU_WAITS]; /* (o) SM_WAIT_* of threads of this CPU asleep at a queue, 0: none */
    uint64_t cpu_op;         /* (o) read by anybody */
    uint64_t cpu_op_arg;     /* (o) read by anybody */
    uint32_t cpu_claim;      /* (q) written, (o) read */
    uint32_t cpu_visits;     /* (q) */
    uint32_t cpu_pad0[10];
    uint32_t cpu_state;      /* (q) */
    uint32_t cpu_gen;        /* (q) */
    uint32_t cpu_pid;        /* (q) */
    uint32_t cpu_uid;        /* (q) */
    uint64_t cpu_start;      /* (q) */
    int64_t cpu_attached_ns; /* (q) */
    char cpu_name[SM_NAME_BYTES]; /* (q) */
    uint8_t cpu_pad1[64];
};
_Static_assert(offsetof(struct sm_cpu_shm, cpu_op) == 64, "owner's words on a line of their own");
_Static_assert(offsetof(struct sm_cpu_shm, cpu_state) == 128, "owner's words on a line of their own");
_Static_assert(sizeof(struct sm_cpu_shm) == 256, "layout");

/* ---------------------------------------------------------------- kegs and zones */

#define SM_KEG_FREE 0u
#define SM_KEG_LIVE 1u

#define SM_KEG_OFFPAGE 1u /* slab header in the state block */
#define SM_KEG_REFCNT 2u  /* aux word per item is a reference counter */
#define SM_KEG_TAGGED 4u  /* aux word per item is a malloc tag: type << 20 | ... see malloc.h */
#define SM_KEG_RUNS 8u    /* each slab is one run of pages holding one item; no bucket ever holds it */
#define SM_KEG_NOFREE 16u /* slabs are never given back */
#define SM_KEG_TRACE 32u  /* a trace record per item */

/*  OFFSET SIZE FIELD                                   list heads are page number + 1
 *       0   64 k_lock
 *      64    4 k_state         SM_KEG_*
 *      68    4 k_flags
 *      72    4 k_item_bytes    as asked for
 *      76    4 k_stride_bytes  item size rounded up to the alignment: distance between items
 *      80    4 k_align
 *      84    4 k_items         items per slab
 *      88    4 k_pages         pages per slab
 *      92    4 k_block_bytes   of a state block, a multiple of SM_BLOCK_UNIT
 *      96    4 k_words_off     of word 0 in a state block
 *     100    4 k_aux_off       of aux 0 in a state block, 0 without aux words
 *     104    4 k_hdr_off       of the slab header: in the block (off-page) or in the slab (inline)
 *     108    4 k_chunk_pages   meta pages taken at a time for state blocks
 *     112    4 k_efficiency    percent x 100: items * stride / (slab + header)
 *     116    4 k_empty_slabs   slabs on the empty list
 *     120    8 k_recip         index = (offset in slab * k_recip) >> 32, exact for offsets below the slab size
 *     128    4 k_partial k_full k_empty   heads of the slab lists
 *     140    4 k_slabs         in any list or being made
 *     144    8 k_free          FREE items in slabs
 *     152    8 k_max_slabs     0 is no limit
 *     160    8 k_reserve       items kept for M_USE_RESERVE
 *     168    8 k_pages_used
 *     176    4 k_waiters       threads asleep at the limit
 *     180    4 k_seq           futex: grows whenever a sleeper may find something
 *     184    4 k_block_free    head of the free state blocks, in units of 16 bytes; 0 none
 *     188    4 k_zones         zones on this keg
 *     192    4 k_gen_seed      generation given to the words of the next slab
 *     196    4 k_trace_off     of trace record 0 in a state block, 0 without trace records
 */
struct sm_keg_shm {
    struct sm_lock_shm k_lock;
    uint32_t k_state;        /* (a) */
    uint32_t k_flags;        /* (c) */
    uint32_t k_item_bytes;   /* (c) for page runs 0 */
    uint32_t k_stride_bytes; /* (c) */
    uint32_t k_align;        /* (c) */
    uint32_t k_items;        /* (c) */
    uint32_t k_pages;        /* (c) */
    uint32_t k_block_bytes;  /* (c) */
    uint32_t k_words_off;    /* (c) */
    uint32_t k_aux_off;      /* (c) */
    uint32_t k_hdr_off;      /* (c) */
    uint32_t k_chunk_pages;  /* (c) */
    uint32_t k_efficiency;   /* (c) */
    uint32_t k_empty_slabs; /* (k) (d) slabs on the empty list */
    uint64_t k_recip;      /* (c) */
    uint32_t k_partial;    /* (k) (d) 0 < free < items */
    uint32_t k_full;       /* (k) (d) free == 0 */
    uint32_t k_empty;      /* (k) (d) free == items */
    uint32_t k_slabs;      /* (k) (d) */
    uint64_t k_free;       /* (k) (d) */
    uint64_t k_max_slabs;  /* (k) */
    uint64_t k_reserve;    /* (k) */
    uint64_t k_pages_used; /* (k) (d) */
    uint32_t k_waiters;    /* (k) (d) read by anybody */
    uint32_t k_seq;        /* (x) */
    uint32_t k_block_free; /* (p) (d) */
    uint32_t k_zones;      /* (a) */
    uint32_t k_gen_seed;   /* (k) */
    uint32_t k_trace_off;  /* (c) */
    uint32_t k_pad1[14];
};
_Static_assert(sizeof(struct sm_keg_shm) == 256, "layout");

#define SM_ZONE_FREE 0u
#define SM_ZONE_LIVE 1u
#define SM_ZONE_DYING 2u

/* z_flags; the low ones are UMA's, by name. */
#define SM_ZONE_REFCNT 0x1u
#define SM_ZONE_SECONDARY 0x2u
#define SM_ZONE_NOBUCKET 0x4u
#define SM_ZONE_MAXBUCKET 0x8u
#define SM_ZONE_OFFPAGE 0x10u
#define SM_ZONE_NOFREE 0x20u
#define SM_ZONE_MALLOC 0x40u  /* made by malloc: aux words carry tags */
#define SM_ZONE_RUNS 0x80u    /* the zone of page runs */
#define SM_ZONE_TRASH 0x100u  /* fill with 0xdeadc0de after free, verify before the next use */
#define SM_ZONE_REDZONE 0x200u /* canaries on both sides of the item */
#define SM_ZONE_KEEP 0x400u   /* items of a dead CPU stay for adoption instead of being reclaimed */
#define SM_ZONE_INTERNAL 0x800u /* not shown unless asked for */
#define SM_ZONE_ZINIT 0x1000u /* new slabs are zeroed */
#define SM_ZONE_TRACE 0x2000u /* who allocated each item, where and when; a secondary zone takes its master's */
#define SM_ZONE_MBUF 0x10000u /* mbufs: freed by m_free; recovery releases what they refer to (layout_mbuf.h) */
#define SM_ZONE_USER_FLAGS                                                                                             \
    (SM_ZONE_REFCNT | SM_ZONE_NOBUCKET | SM_ZONE_MAXBUCKET | SM_ZONE_OFFPAGE | SM_ZONE_NOFREE | SM_ZONE_TRASH |        \
     SM_ZONE_REDZONE | SM_ZONE_KEEP | SM_ZONE_ZINIT | SM_ZONE_TRACE)

enum sm_callback_slot {
    SM_CB_CTOR,
    SM_CB_DTOR,
    SM_CB_INIT,
    SM_CB_FINI,
    SM_CB_MAXACTION,
    SM_CB_SLOTS,               /* of a zone; the others stand in tables of the mbuf layer */
    SM_CB_EXTFREE = SM_CB_SLOTS, /* mem: the storage, arg: two words */
    SM_CB_DRAIN,               /* nothing */
    SM_CB_MAC_INIT,            /* mem: the policy's slot of the label, arg: the label */
    SM_CB_MAC_DESTROY,         /* the same */
    SM_CB_MAC_COPY             /* mem: the slot of the new label, arg: that of the old one */
};
#define SM_CB_ABSENT 0u
#define SM_CB_NATIVE 1u /* cb_name is a key of the process's native table */
#define SM_CB_NAMED 2u  /* cb_name is "module:name", resolved by the language on top */

/*  OFFSET SIZE FIELD
 *       0    4 cb_kind
 *       4   72 cb_name
 */
struct sm_callback_shm {
    uint32_t cb_kind;
    char cb_name[SM_CALLBACK_BYTES];
};
_Static_assert(sizeof(struct sm_callback_shm) == 76, "layout");

/*  OFFSET SIZE FIELD
 *       0    4 z_state        SM_ZONE_FREE, LIVE, DYING
 *       4    4 z_gen          grows when the slot is reused
 *       8    4 z_keg
 *      12    4 z_flags
 *      16    4 z_item_bytes   what the user sees
 *      20    4 z_item_off     of the user's bytes in the item (16 with redzones, else 0)
 *      24    4 z_master       for a secondary zone: the zone whose keg it shares, else its own id
 *      28    4 z_warn_on      a warning text is set
 *      32   32 z_name
 *      64  380 z_cb           SM_CB_SLOTS callbacks
 *     448   64 z_warning      text
 *     512    4 z_full         bucket id + 1: list of full buckets
 *     516    4 z_bucket_size  entries a bucket holds now
 *     520    4 z_bucket_max   largest it may become
 *     524    4 z_full_count   buckets on that list
 *     528    8 z_full_items   items in the full buckets
 *     536    8 z_allocs       folded from CPUs that left
 *     544    8 z_frees
 *     552    8 z_fails
 *     560    8 z_sleeps
 *     568    8 z_imin, 8 z_imax, 8 z_wss   working-set estimate, in items
 *     592    8 z_wss_ns       when it was last taken, CLOCK_MONOTONIC
 *     600    8 z_warned_ns    CLOCK_MONOTONIC
 *     608    8 z_limit_items  what the user asked set_max for, 0 none
 *     616    8 z_cache_max    items the full buckets may hold
 *     624    8 z_init_fails   items that a secondary zone's init refused
 *     632    4 z_hoarder      zone id + 1: each item in its caches holds one of ours, 0: none
 *     636    4 z_hoards       the same link from the other end
 */
struct sm_zone_shm {
    uint32_t z_state;      /* (a) read by anybody */
    uint32_t z_gen;        /* (a) */
    uint32_t z_keg;        /* (c) */
    uint32_t z_flags;      /* (c) */
    uint32_t z_item_bytes; /* (c) */
    uint32_t z_item_off;   /* (c) */
    uint32_t z_master;     /* (c) */
    uint32_t z_warn_on;    /* (k) */
    char z_name[SM_NAME_BYTES];               /* (c) */
    struct sm_callback_shm z_cb[SM_CB_SLOTS]; /* (c) but for MAXACTION: (a) */
    uint32_t z_pad0;
    char z_warning[64];     /* (k) */
    uint32_t z_full;        /* (k) (d) */
    uint32_t z_bucket_size; /* (k) */
    uint32_t z_bucket_max;  /* (k) */
    uint32_t z_full_count;  /* (k) (d) buckets on the list */
    uint64_t z_full_items;  /* (k) (d) */
    uint64_t z_allocs;      /* (k) */
    uint64_t z_frees;       /* (k) */
    uint64_t z_fails;       /* (k) */
    uint64_t z_sleeps;      /* (k) */
    uint64_t z_imin;        /* (k) */
    uint64_t z_imax;        /* (k) */
    uint64_t z_wss;         /* (k) */
    int64_t z_wss_ns;       /* (k) */
    int64_t z_warned_ns;    /* (k) */
    uint64_t z_limit_items; /* (k) */
    uint64_t z_cache_max;   /* (k) items the full buckets may hold, UINT64_MAX: no bound */
    uint64_t z_init_fails;  /* (k) items that the zone's init refused, whether or not a request failed by it */
    uint32_t z_hoarder;     /* (a) its caches are drained before this zone fails or sleeps */
    uint32_t z_hoards;      /* (c) */
    uint8_t z_pad1[128];
};
_Static_assert(offsetof(struct sm_zone_shm, z_warning) == 448, "layout");
_Static_assert(offsetof(struct sm_zone_shm, z_full) == 512, "layout");
_Static_assert(sizeof(struct sm_zone_shm) == 768, "layout");

/* ---------------------------------------------------------------- queues */

/*  RING PLACE: q_turn tells whose turn it is (after D. Vyukov's bounded queue): pos when a producer may fill it,
 *  pos + 1 when a consumer may take it, pos + places when it is free for the next lap. pl_item 0 with turn pos + 1 is a
 *  blank: a place claimed for an item that a bulk put named twice; a consumer passes over it. */
struct sm_place_shm {
    uint64_t pl_turn; /* (x) */
    sm_off_t pl_item; /* (t) together with the item's QUEUED word */
};

/*  OFFSET SIZE FIELD
 *       0    4 q_state, 4 q_gen, 4 q_depth (a power of two), 4 q_pages of the ring
 *      16    8 q_ring        offset of place 0
 *      24    8 q_limit       items the user asked for (<= q_depth)
 *      32   32 q_name
 *      64    8 q_tail        next position to fill           own cache line: producers
 *     128    8 q_head        next position to take           own cache line: consumers
 *     192    4 q_item_seq    futex of consumers, 4 q_item_waiters
 *     256    4 q_space_seq   futex of producers, 4 q_space_waiters
 */
struct sm_queue_shm {
    uint32_t q_state; /* (a) SM_ZONE_FREE, LIVE, DYING */
    uint32_t q_gen;   /* (a) */
    uint32_t q_depth; /* (c) places, a power of two */
    uint32_t q_pages; /* (c) */
    sm_off_t q_ring;  /* (c) */
    uint64_t q_limit; /* (c) */
    char q_name[SM_NAME_BYTES]; /* (c) */
    uint64_t q_tail;            /* (x) */
    uint64_t q_pad0[7];
    uint64_t q_head; /* (x) */
    uint64_t q_pad1[7];
    uint32_t q_item_seq;     /* (x) */
    uint32_t q_item_waiters; /* (x) (d) */
    uint32_t q_pad2[14];
    uint32_t q_space_seq;     /* (x) */
    uint32_t q_space_waiters; /* (x) (d) */
    uint32_t q_pad3[14];
};
_Static_assert(sizeof(struct sm_queue_shm) == 320, "layout");

/* ---------------------------------------------------------------- malloc types, events, control */

/* MALLOC TAG (aux word of a TAGGED keg): type + 1 in the high 8 bits, request slack in the low 24:
 * requested bytes = class bytes - slack (page runs: run bytes - slack, slack below one page + 2^24). 0: not in use. */
#define SM_TAG(type, slack) (((uint32_t)(type) + 1u) << 24 | (uint32_t)(slack))
#define SM_TAG_TYPE(t) (((t) >> 24) - 1u)
#define SM_TAG_SLACK(t) ((t) & 0xffffffu)
#define SM_TYPES_LIMIT 254u

struct sm_type_shm { /* one malloc type, and the counters folded from CPUs that left */
    char ty_name[SM_NAME_BYTES]; /* (a) empty: free */
    uint64_t ty_allocs;          /* (q) */
    uint64_t ty_frees;           /* (q) */
    uint64_t ty_bytes_in;        /* (q) bytes handed out, as sizes of classes */
    uint64_t ty_bytes_out;       /* (q) */
    uint64_t ty_sizes;           /* (x) bit i: class i was used */
    uint64_t ty_fails;           /* (q) */
    uint64_t ty_pad[2];
};
_Static_assert(sizeof(struct sm_type_shm) == 96, "layout");

struct sm_type_stat_shm { /* one CPU's counters for one type */
    uint64_t ts_allocs;    /* (o) */
    uint64_t ts_frees;     /* (o) */
    uint64_t ts_bytes_in;  /* (o) */
    uint64_t ts_bytes_out; /* (o) */
    uint64_t ts_fails;     /* (o) */
    uint64_t ts_pad;
};
_Static_assert(sizeof(struct sm_type_stat_shm) == 48, "layout");

#define SM_EV_WRITING (1ull << 63)
enum sm_event_kind { SM_EV_NONE, SM_EV_WARNING, SM_EV_RECOVERY, SM_EV_LIMIT, SM_EV_NOTE };

/* One line of the arena's log. ev_seq is stored last: a reader that sees the number it expects sees the whole line. */
struct sm_event_shm {
    uint64_t ev_seq;     /* (x) 1, 2, ...; with SM_EV_WRITING while it is being written */
    int64_t ev_time_ns;  /* CLOCK_REALTIME */
    uint32_t ev_kind;
    uint32_t ev_cpu;
    char ev_text[232];
};
_Static_assert(sizeof(struct sm_event_shm) == 256, "layout");

/*  SITE, a place in a program that allocates. An id is an index + 1. Open addressing from hash % places on; never removed.
 *
 *      63                32 31            16 15       4 3    0
 *      +--------------------+----------------+----------+------+
 *      |   hash of text     | gen of the cpu |   cpu    | kind |    kind 0: empty; 1: being written by the cpu; 2: finished
 *      +--------------------+----------------+----------+------+
 *
 *  From 0 to being written, and from a dead writer to the next, by compare-and-swap; to finished by its writer's release
 *  store. Readers pass over what is not finished. Two CPUs that write one text at one time may make two sites of it.
 */
#define SM_SITE_WRITING 1u
#define SM_SITE_FINISHED 2u
#define SM_SITE_WORD(kind, cpu, gen, hash)                                                                             \
    ((uint64_t)(kind) | ((uint64_t)(cpu) << 4) | ((uint64_t)(uint16_t)(gen) << 16) | ((uint64_t)(hash) << 32))
#define SM_SITE_KIND(w) ((uint32_t)((w) & 0xf))
#define SM_SITE_CPU(w) ((uint32_t)(((w) >> 4) & 0xfff))
#define SM_SITE_GEN(w) ((uint32_t)(((w) >> 16) & 0xffff))
#define SM_SITE_HASH(w) ((uint32_t)((w) >> 32))
#define SM_SITE_NONE 0u          /* not recorded */
#define SM_SITE_FULL UINT32_MAX  /* the table had no place left */
#define SM_SITES_LIMIT (1u << 20)
#define SM_SITE_TEXT 248

struct sm_site_shm {
    uint64_t si_word;           /* (x) */
    char si_text[SM_SITE_TEXT]; /* whom the word names while it is being written; then constant */
};
_Static_assert(sizeof(struct sm_site_shm) == 256, "layout");

/*  TRACE RECORD, one per item of a traced keg, in the state block; counts while the item is HELD, QUEUED or TICKETED.
 *  OFFSET SIZE FIELD
 *       0    4 tr_site     id, SM_SITE_NONE or SM_SITE_FULL
 *       4    4 tr_pid      of the process that allocated it
 *       8    8 tr_time_ns  CLOCK_REALTIME
 */
struct sm_trace_shm {   /* the CPU under which the item is CONSTRUCTING, or of a page run the one that HOLDS it */
    uint32_t tr_site;   /* (x) */
    uint32_t tr_pid;    /* (x) */
    int64_t tr_time_ns; /* (x) */
};
_Static_assert(sizeof(struct sm_trace_shm) == 16, "layout");

/*  CONTROL
 *  OFFSET SIZE FIELD
 *       0   64 ctl_quiesce, 64 ctl_admin, 64 ctl_page: the arena's locks
 *     192    8 ctl_frontier       data pages below this were committed once
 *     200    8 ctl_data_pages     of the data region
 *     208    8 ctl_dir_committed  data pages whose directory and link entries are committed
 *     216    8 ctl_meta_frontier  meta pages in use
 *     224    8 ctl_meta_pages     of the meta region
 *     232    8 ctl_metadir_committed  meta pages whose directory entries are committed
 *     240    8 ctl_free_pages     committed, in free runs
 *     248    8 ctl_hole_pages     given back, in free runs
 *     256  320 ctl_bins           heads of free runs: committed 40 x 4, holes 40 x 4
 *     576    4 ctl_bucket_free    bucket id + 1
 *     580    4 ctl_bucket_next    buckets below this were committed once
 *     584    8 ctl_extra_next     next free byte in the extra region
 *     592    8 ctl_event_seq      number of the newest event
 *     600    4 ctl_zones ctl_queues ctl_types ctl_locks   highest id ever used + 1
 *     616    8 ctl_punched        pages ever given back
 *     624  256 ctl_tunable        values, see tunable.h
 */
struct sm_control_shm {
    struct sm_lock_shm ctl_quiesce;
    struct sm_lock_shm ctl_admin;
    struct sm_lock_shm ctl_page;
    uint64_t ctl_frontier;          /* (p) */
    uint64_t ctl_data_pages;        /* (c) */
    uint64_t ctl_dir_committed;     /* (p) */
    uint64_t ctl_meta_frontier;     /* (p) */
    uint64_t ctl_meta_pages;        /* (c) */
    uint64_t ctl_metadir_committed; /* (p) */
    uint64_t ctl_free_pages;        /* (p) (d) */
    uint64_t ctl_hole_pages;        /* (p) (d) */
    uint32_t ctl_bins[2][SM_RUN_BINS]; /* (p) (d) */
    uint32_t ctl_bucket_free;       /* (p) (d) */
    uint32_t ctl_bucket_next;       /* (p) */
    uint64_t ctl_extra_next;        /* (a) */
    uint64_t ctl_event_seq;         /* (x) */
    uint32_t ctl_zones;             /* (a) */
    uint32_t ctl_queues;            /* (a) */
    uint32_t ctl_types;             /* (a) */
    uint32_t ctl_locks;             /* (a) */
    uint64_t ctl_punched;           /* (p) */
    int64_t ctl_tunable[SM_TUNABLES]; /* (x) */
    uint32_t ctl_cpu_high;          /* (q) highest slot ever used + 1 */
    uint32_t ctl_attached;          /* (q) (d) live slots */
    uint64_t ctl_attaches;          /* (q) ever */
    uint64_t ctl_bucket_bytes;      /* (p) of the bucket region, committed */
    uint64_t ctl_withdrawn; /* (x) slabs ever withdrawn: an item's word stays where it is while this stands still */
    uint64_t ctl_meta_free;         /* (p) (d) meta pages below the frontier that no keg has */
    uint32_t ctl_policy;            /* (q) nonzero: every CPU carries SM_CLAIM_POLICY */
    uint32_t ctl_reaping;           /* (q) derived data is being rebuilt: a dead reaper's successor starts over */
    sm_off_t ctl_mbuf;              /* (a) struct sm_mb_shm, 0: this arena has no mbufs */
    uint32_t ctl_sites;      /* (a) read by anybody: places for sites that are committed, 0 or h_max_sites */
    uint32_t ctl_sites_full; /* (x) the event about the full table was logged */
};
_Static_assert(offsetof(struct sm_control_shm, ctl_frontier) == 192, "layout");
_Static_assert(offsetof(struct sm_control_shm, ctl_bins) == 256, "layout");
_Static_assert(offsetof(struct sm_control_shm, ctl_tunable) == 624, "layout");
_Static_assert(sizeof(struct sm_control_shm) <= 2 * SM_PAGE, "layout");

#endif
