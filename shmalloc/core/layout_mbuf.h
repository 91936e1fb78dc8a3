/* layout_mbuf.h - every shared byte of the mbuf layer: the mbuf itself, tags, counters of external storage, and the
 * region "mbuf" with limits, sockbufs and MAC policies. No functions. After sys/mbuf.h, sys/sockbuf.h and mac(9).
 *
 *  AN MBUF (256 bytes, one item of the keg "mbuf")      WHO OWNS WHAT
 *      +--------+---------+------------------------+       an mbuf whose word is HELD belongs to that CPU, chained or
 *      | header | pkthdr  | ext  |  ...            |  EXT     not: links between HELD mbufs are its private business
 *      +--------+---------+------------------------+       ATTACHED: belongs to whatever reaches it:
 *      | header | pkthdr  | data (MHLEN 192)       |  PKTHDR    clusters and other storage  from the mbufs with M_EXT
 *      +--------+---------+------------------------+            tags                        from their packet header
 *      | header | data (MLEN 224)                  |            mbufs   from the QUEUED or TICKETED head of a packet,
 *      +--------+----------------------------------+                    or from a sockbuf
 *      0        32        64                       256
 *
 *  Offsets, not pointers: an mbuf is mapped at another address in every process. What an mbuf says about itself lies in
 *  reach of an overrun and is never trusted for a store to the truth: every slow path looks the item up again.
 *
 *  A storage's reference counter is derived: it equals the mbufs that refer to it (I18), and recovery recounts it. So
 *  an mbuf's M_EXT, the counter and the storage's word change inside one operation.
 *
 *  LOCK KEY, beyond that of layout.h
 *      (h) the CPU that holds the mbuf
 *      (r) recovery, with the world stopped
 *      (s) sockbuf lock: sb_lock. Between admin and keg; no allocation and no free happens under it.
 */
#ifndef SM_LAYOUT_MBUF_H
#define SM_LAYOUT_MBUF_H

#include "layout.h"

#define MSIZE 256u
#define MCLBYTES 2048u
#define MJUMPAGESIZE 4096u
#define MJUM9BYTES 9216u
#define MJUM16BYTES 16384u
#define M_HDR_BYTES 32u    /* header of every mbuf */
#define M_PKTHDR_BYTES 32u /* more of it with M_PKTHDR */
#define MLEN (MSIZE - M_HDR_BYTES)
#define MHLEN (MLEN - M_PKTHDR_BYTES)
#define MINCLSIZE (MHLEN + 1)

/* m_flags */
#define M_EXT 0x1u
#define M_PKTHDR 0x2u
#define M_EOR 0x4u
#define M_RDONLY 0x8u
#define M_PROTO1 0x10u
#define M_PROTO2 0x20u
#define M_PROTO3 0x40u
#define M_PROTO4 0x80u
#define M_PROTO5 0x100u
#define M_BCAST 0x200u
#define M_MCAST 0x400u
#define M_FRAG 0x800u
#define M_FIRSTFRAG 0x1000u
#define M_LASTFRAG 0x2000u
#define M_SKIP_FIREWALL 0x4000u
#define M_FREELIST 0x8000u
#define M_VLANTAG 0x10000u
#define M_FLAG_BITS 0x1ffffu
#define M_COPYFLAGS                                                                                                    \
    (M_PKTHDR | M_EOR | M_RDONLY | M_PROTO1 | M_PROTO2 | M_PROTO3 | M_PROTO4 | M_PROTO5 | M_SKIP_FIREWALL | M_BCAST |  \
     M_MCAST | M_FRAG | M_FIRSTFRAG | M_LASTFRAG | M_VLANTAG)

/* m_type */
#define MT_NOTMBUF 0
#define MT_DATA 1
#define MT_HEADER MT_DATA
#define MT_SONAME 8
#define MT_CONTROL 14
#define MT_OOBDATA 15
#define MT_NTYPES 16

/* ext_type */
#define EXT_CLUSTER 1
#define EXT_SFBUF 2
#define EXT_JUMBOP 3
#define EXT_JUMBO9 4
#define EXT_JUMBO16 5
#define EXT_PACKET 6
#define EXT_NET_DRV 100
#define EXT_MOD_TYPE 200
#define EXT_DISPOSABLE 300
#define EXT_EXTREF 400

#define M_LEN_BITS 24 /* bytes of one mbuf's data: below 16 MiB */
#define M_LEN_MAX ((1u << M_LEN_BITS) - 1)
#define M_DATA_BITS 40 /* an arena with mbufs spans at most 1 TiB */

/* Where an mbuf's bytes are and how many: one word, so that dropping from the front of a shared mbuf is one store. */
union sm_mwindow {
    uint64_t w_word;
    struct {
        uint64_t w_len : M_LEN_BITS;
        uint64_t w_data : M_DATA_BITS; /* arena offset of the first byte */
    };
};
_Static_assert(sizeof(union sm_mwindow) == 8, "layout");

/*  OFFSET SIZE FIELD
 *       0    4 ph_rcvif       interface number, 0: none
 *       4    4 ph_len         bytes of the whole packet
 *       8    8 ph_tags        first tag
 *      16    4 ph_csum_flags
 *      20    4 ph_csum_data
 *      24    8 ph_header      for protocols: an offset into the data, 0: none
 */
struct sm_pkthdr {
    uint32_t ph_rcvif;
    uint32_t ph_len;
    sm_off_t ph_tags; /* (h), inside an operation together with the tag's word */
    uint32_t ph_csum_flags;
    uint32_t ph_csum_data;
    uint64_t ph_header;
};
_Static_assert(sizeof(struct sm_pkthdr) == M_PKTHDR_BYTES, "layout");

/*  OFFSET SIZE FIELD
 *       0    8 me_buf         first byte of the storage
 *       8    8 me_cnt         its reference counter: aux word of the cluster's slab, or xr_count
 *      16    4 me_size        bytes
 *      20    4 me_type        EXT_*
 *      24    8 me_ref         EXT_NET_DRV and above: the sm_extref_shm, else 0
 */
struct sm_mext {
    sm_off_t me_buf;
    sm_off_t me_cnt;
    uint32_t me_size;
    uint32_t me_type;
    sm_off_t me_ref;
};
_Static_assert(sizeof(struct sm_mext) == 32, "layout");

/*  OFFSET SIZE FIELD
 *       0    8 m_next         next mbuf of this packet, offset, 0 none
 *       8    8 m_nextpkt      next packet of a queue or record of a sockbuf
 *      16    8 m_win          data offset and length
 *      24    4 m_flags        M_*
 *      28    4 m_type         MT_*
 *      32   32 m_pkthdr       with M_PKTHDR
 *      64   32 m_ext          with M_EXT; kept while the mbuf is cached in the packet zone
 */
struct mbuf {
    sm_off_t m_next;        /* (h), or (s) one store per change */
    sm_off_t m_nextpkt;     /* (h), or (s) */
    union sm_mwindow m_win; /* (h), or (s) one store per change */
    uint32_t m_flags; /* (h); M_EXT inside an operation. Clear in every mbuf that is FREE, or CACHED for zone mbuf */
    uint32_t m_type; /* (h) */
    union {
        struct {
            struct sm_pkthdr m_pkthdr; /* (h) */
            union {
                struct sm_mext m_ext; /* (h), inside an operation */
                uint8_t m_pktdat[MHLEN];
            };
        };
        uint8_t m_dat[MLEN];
    };
};
_Static_assert(sizeof(struct mbuf) == MSIZE, "layout");
_Static_assert(offsetof(struct mbuf, m_ext) == 64, "layout");

/* Item of the zone "mbuf_extref": who frees storage that no slab counts.
 *  OFFSET SIZE FIELD
 *       0    4 xr_count       mbufs that refer to it
 *       4    4 xr_free        place in mb_extfree + 1; 0: the storage goes back to its zone
 *       8    8 xr_item        the storage's item
 *      16    8 xr_arg1, 8 xr_arg2   for the free routine
 */
struct sm_extref_shm {
    uint32_t xr_count; /* (x) (d) */
    uint32_t xr_free; /* (c) */
    sm_off_t xr_item; /* (c) */
    uint64_t xr_arg1; /* (c) */
    uint64_t xr_arg2; /* (c) */
};
_Static_assert(sizeof(struct sm_extref_shm) == 32, "layout");

#define MTAG_BYTES 256u
#define MTAG_HDR_BYTES 32u
#define MTAG_MAX (MTAG_BYTES - MTAG_HDR_BYTES)

/* Item of the zone "mbuf_tag".
 *  OFFSET SIZE FIELD
 *       0    8 t_next         next tag of the packet
 *       8    4 t_cookie       who defines t_id
 *      12    2 t_id
 *      14    2 t_len          bytes of t_data
 *      16    4 t_persistent   1: m_tag_delete_nonpersistent leaves it
 */
struct m_tag {
    sm_off_t t_next; /* (h) */
    uint32_t t_cookie; /* (h) */
    uint16_t t_id; /* (h) */
    uint16_t t_len; /* (h) */
    uint32_t t_persistent; /* (h) */
    uint32_t t_pad[3];
    uint8_t t_data[MTAG_MAX]; /* (h) */
};
_Static_assert(sizeof(struct m_tag) == MTAG_BYTES, "layout");
#define MTAG_ABI_COMPAT 0u /* t_cookie of the tags defined here */
#define MTAG_PERSISTENT 0x800u /* bit of m_tag_alloc's type: see t_persistent */
#define PACKET_TAG_MACLABEL 19u

/* Payload of a PACKET_TAG_MACLABEL tag. A label is alive while its tag is in use and l_magic says so; l_magic, l_policies
 * and the counters mb_labels_made and mb_labels_ended change together inside one operation (I18). */
#define MAC_SLOTS 8
#define MAC_LABEL_MAGIC 0x4c424c31u /* "LBL1" */
#define MAC_LABEL_DEAD 0xdeadbeefu
struct mac_label {
    uint32_t l_magic;
    uint16_t l_policies; /* bit i: policy i was there when the label was made: it hears of its end */
    uint16_t l_ready;    /* bit i: policy i has initialised l_slot[i] */
    uint64_t l_slot[MAC_SLOTS]; /* 0 until then */
};
_Static_assert(sizeof(struct mac_label) == 8 + 8 * MAC_SLOTS && sizeof(struct mac_label) <= MTAG_MAX, "layout");
_Static_assert(MAC_SLOTS <= 16, "layout");

enum sm_mb_zone {
    SM_MBZ_MBUF,
    SM_MBZ_CLUSTER,
    SM_MBZ_PACKET,
    SM_MBZ_JUMBOP,
    SM_MBZ_JUMBO9,
    SM_MBZ_JUMBO16,
    SM_MBZ_TAG,
    SM_MBZ_EXTREF,
    SM_MBZ_COUNT
};

/*  OFFSET SIZE FIELD
 *       0   64 sb_lock
 *      64    4 sb_state       SM_ZONE_FREE, LIVE
 *      68    4 sb_gen         grows when the sockbuf comes and when it goes; 0: sb_lock was never formatted
 *      72    8 sb_mb          first mbuf of the first record
 *      80    8 sb_mbtail      last mbuf of the last record
 *      88    8 sb_lastrecord  first mbuf of the last record
 *      96    8 sb_cc          bytes of data
 *     104    8 sb_mbcnt       bytes of storage
 *     112    8 sb_hiwat       most bytes of data
 *     120    8 sb_mbmax       most bytes of storage
 *     128   32 sb_name
 *     160    4 sb_data_seq, 4 sb_data_waiters   futex of readers
 *     168    4 sb_space_seq, 4 sb_space_waiters futex of writers
 */
struct sm_sockbuf_shm {
    struct sm_lock_shm sb_lock;
    uint32_t sb_state; /* (a) */
    uint32_t sb_gen; /* (a) */
    sm_off_t sb_mb; /* (s) (t) */
    sm_off_t sb_mbtail; /* (s) (d) */
    sm_off_t sb_lastrecord; /* (s) (d) */
    uint64_t sb_cc; /* (s) (d) */
    uint64_t sb_mbcnt; /* (s) (d) */
    uint64_t sb_hiwat; /* (s) */
    uint64_t sb_mbmax; /* (s) */
    char sb_name[SM_NAME_BYTES]; /* (a) */
    uint32_t sb_data_seq; /* (x) */
    uint32_t sb_data_waiters; /* (x) 1: somebody may sleep on the seq. Set by sleepers, cleared by who wakes them all */
    uint32_t sb_space_seq; /* (x) */
    uint32_t sb_space_waiters; /* (x) the same */
    uint8_t sb_pad[80];
};
_Static_assert(sizeof(struct sm_sockbuf_shm) == 256, "layout");

#define MAC_LABEL_MBUFS 1u
#define SM_MAC_FREE 0u
#define SM_MAC_LIVE 1u

/* A MAC policy: its callbacks by name, so that every process finds its own.
 *  OFFSET SIZE FIELD
 *       0    4 mp_state       0 free, 1 live
 *       4    4 mp_flags       MAC_LABEL_MBUFS: asks for labels when labelling is by policy
 *       8   32 mp_name
 *      40   76 mp_init, 76 mp_destroy, 76 mp_copy
 *     272    8 mp_refused     labels that it refused to initialise or to copy
 *     280    8 mp_missed      ends that it did not hear of, because the process had not its callbacks
 */
struct sm_mac_policy_shm {
    uint32_t mp_state; /* (a) read by anybody */
    uint32_t mp_flags; /* (a) */
    char mp_name[SM_NAME_BYTES]; /* (a) */
    struct sm_callback_shm mp_init; /* (a) */
    struct sm_callback_shm mp_destroy; /* (a) */
    struct sm_callback_shm mp_copy; /* (a) */
    uint32_t mp_pad;
    uint64_t mp_refused; /* (x) */
    uint64_t mp_missed; /* (x) */
};
_Static_assert(offsetof(struct sm_mac_policy_shm, mp_init) == 40, "layout");
_Static_assert(sizeof(struct sm_mac_policy_shm) == 288, "layout");

/* What the policy "mac_test" has seen, in all processes together; all (x). */
struct sm_mac_test_shm {
    uint64_t mt_made; /* slots initialised; the low half of a serial number comes from here */
    uint64_t mt_destroyed; /* initialised slots destroyed */
    uint64_t mt_empty; /* destroyed before its init ran: another policy refused the label */
    uint64_t mt_copied;
    uint64_t mt_violations; /* destroyed twice, never initialised, a wrong magic */
};

#define SM_SOCKBUFS 256u
#define SM_EXTFREES 16u
#define SM_DRAINS 16u
#define SM_MB_REGION "mbuf"
#define SM_MB_VERSION 1u
#define SM_MB_READY 1u

/* The region "mbuf", found through ctl_mbuf. */
struct sm_mb_shm {
    uint32_t mb_state; /* (a) SM_MB_READY, stored last */
    uint32_t mb_zone[SM_MBZ_COUNT]; /* (c) ids */
    uint32_t mb_maxusers; /* (c) */
    uint32_t mb_label_mode; /* (x) MAC_LABEL_*: whether new packet headers get labels */
    uint32_t mb_labelling; /* (x) 1: mode and policies together say that labels are made */
    uint32_t mb_policy_gen; /* (a) grows when a policy comes or goes, and by recovery; read by anybody */
    uint32_t mb_own_limits; /* (x) bit i: limit i was set by itself and does not follow nmbclusters */
    uint64_t mb_limit[SM_MBZ_COUNT]; /* (x) what was asked for, items, 0: none */
    uint64_t mb_drain_calls; /* (x) calls to drain routines */
    uint64_t mb_drained_ns; /* (x) CLOCK_MONOTONIC of the last */
    uint64_t mb_labels_made; /* (x) */
    uint64_t mb_labels_ended; /* (x) by m_freem and its like, or because a policy refused */
    uint64_t mb_labels_reaped; /* (r) that died with their process */
    struct sm_mac_test_shm mb_mac_test;
    uint64_t mb_pad[32];
    struct sm_callback_shm mb_extfree[SM_EXTFREES]; /* (a) */
    struct sm_callback_shm mb_drain[SM_DRAINS]; /* (a) */
    struct sm_mac_policy_shm mb_policy[MAC_SLOTS]; /* (a) */
    _Alignas(SM_CACHE_LINE) struct sm_sockbuf_shm mb_sockbuf[SM_SOCKBUFS];
};
#define MAC_LABELS_OFF 0u
#define MAC_LABELS_ALL 1u
#define MAC_LABELS_BY_POLICY 2u

#endif
