/* mbuf_zone.c - the zones of the mbuf layer: making and finding them, their native ctors, dtors, inits and finis, and
 * their limits. Takes the admin lock to add a drain routine; what else it takes is in zone*.c. After kern_mbuf.c.
 *
 *   keg mbuf      zone mbuf (primary)          init clears the header
 *                 zone mbuf_packet (secondary) zone init: a cluster with the caller's `how`; zone fini gives it back
 *   keg cluster   zone mbuf_cluster (REFCNT)   limited by nmbclusters; drains mbuf_packet's caches before it fails
 *   kegs of the three jumbo sizes, of tags and of counters for external storage
 *
 * Crash windows of sm_mb_open: any zone may be missing when ctl_mbuf is still 0: the next one to open makes the rest.
 */
#include "mbuf_zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event.h"
#include "mbuf_impl.h"
#include "zone_impl.h"

enum mbuf_zone_step { STEP_MB_ZONE = 0x800, STEP_MB_READY, STEP_CALLBACK_NAMED };

#define MAXUSERS_LEAST 32u
#define MAXUSERS_MOST 384u

/* ---------------------------------------------------------------- callbacks */

static struct sm_mb *mb_of(void *ctx) {
    struct sm_mb *mb = NULL;
    struct sm_arena *a = ctx;
    return sm_mb_find(a, &mb) == SM_OK ? mb : NULL;
}

static int keg_init(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)bytes, (void)arg, (void)how, (void)ctx;
    memset(mem, 0, M_HDR_BYTES); /* I18: what is FREE has no M_EXT, and no link */
    return 0;
}

static void header_init(const struct sm_mb *mb, struct mbuf *m, uint32_t flags, int type) {
    m->m_next = 0;
    m->m_nextpkt = 0; /* always: left dirty in plain mbufs it corrupts socket buffers */
    m->m_type = (uint32_t)type;
    m->m_flags = flags;
    if (flags & M_PKTHDR) {
        m->m_pkthdr = (struct sm_pkthdr){0};
    }
    m_set(m, m_start(mb, m), 0);
}

static int ctor(struct mbuf *m, struct sm_mb_args *args, uint32_t keep, int how, void *ctx) {
    struct sm_mb *mb = args ? args->ma_mb : mb_of(ctx);
    if (mb == NULL) {
        return ENOENT;
    }
    header_init(mb, m, (args ? args->ma_flags : 0) | keep, args ? args->ma_type : MT_DATA);
    if (m->m_flags & M_PKTHDR && sm_mac_labelling(mb)) {
        enum sm_err err = sm_mac_init_mbuf(mb, m, how);
        if (args) {
            args->ma_err = err;
        }
        return err == SM_OK ? 0 : err == SM_CTOR_FAILED ? mb->mb_arena->a_callback_errno : ENOMEM;
    }
    return 0;
}

static int ctor_mbuf(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)bytes;
    return ctor(mem, arg, 0, how, ctx);
}

static int ctor_packet(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)bytes;
    return ctor(mem, arg, M_EXT, how, ctx);
}

static int dtor_mbuf(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct mbuf *m = mem;
    struct sm_mb *mb = mb_of(ctx);
    (void)bytes, (void)arg, (void)how;
    if (mb != NULL && m->m_flags & M_PKTHDR && m->m_pkthdr.ph_tags != 0) {
        (void)m_tag_delete_chain(mb, m, NULL);
    }
    m->m_next = m->m_nextpkt = 0;
    return 0;
}

/* Attaches in the fields only: the counter, M_EXT and the cluster's word follow in one operation (mbuf_ext.c). */
static int ctor_cluster(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct mbuf *m = arg;
    (void)how;
    if (m != NULL) {
        m->m_ext.me_buf = sm_off_of(ctx, mem);
        m->m_ext.me_size = bytes;
    }
    return 0;
}

static int zinit_packet(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct mbuf *m = mem;
    struct sm_mb *mb = mb_of(ctx);
    (void)bytes, (void)arg;
    if (mb == NULL) {
        return ENOENT;
    }
    enum sm_err err = sm_mb_cluster(mb, m, SM_MBZ_CLUSTER, how);
    if (err == SM_OK) {
        m->m_ext.me_type = EXT_PACKET;
    }
    return err == SM_OK ? 0 : ENOMEM;
}

static int zfini_packet(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct mbuf *m = mem;
    struct sm_mb *mb = mb_of(ctx);
    bool keep = false;
    (void)bytes, (void)arg, (void)how;
    if (mb != NULL && m->m_flags & M_EXT) {
        m->m_ext.me_type = EXT_CLUSTER; /* a plain cluster's: it goes to its own zone, not back to this one */
        (void)sm_mb_release(mb, m, NULL, &keep);
    }
    return 0;
}

static int maxaction(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct sm_mb *mb = mb_of(ctx);
    (void)mem, (void)bytes, (void)arg, (void)how;
    if (mb != NULL) {
        mb_reclaim(mb);
    }
    return 0;
}

static const struct {
    const char *key;
    sm_callback_fn fn;
} natives[] = {
    {"mb_keg_init", keg_init},         {"mb_ctor_mbuf", ctor_mbuf},       {"mb_ctor_packet", ctor_packet},
    {"mb_dtor_mbuf", dtor_mbuf},       {"mb_ctor_cluster", ctor_cluster}, {"mb_zinit_packet", zinit_packet},
    {"mb_zfini_packet", zfini_packet}, {"mb_maxaction", maxaction},
};

enum sm_err sm_mb_register(void) {
    enum sm_err err = SM_OK;
    for (size_t i = 0; err == SM_OK && i < sizeof natives / sizeof natives[0]; i++) {
        err = sm_zone_register(natives[i].key, natives[i].fn);
    }
    return err == SM_OK ? sm_mac_test_natives() : err;
}

/* ---------------------------------------------------------------- the zones */

struct zone_plan {
    const char *p_name;
    uint32_t p_bytes, p_align, p_flags;
    const char *p_master, *p_hoards;
    const char *p_cb[SM_CB_SLOTS];
    const char *p_warning;
};

static const struct zone_plan plans[SM_MBZ_COUNT] = {
    [SM_MBZ_MBUF] = {"mbuf",
                     MSIZE,
                     MSIZE,
                     SM_ZONE_MBUF,
                     NULL,
                     NULL,
                     {[SM_CB_CTOR] = "mb_ctor_mbuf", [SM_CB_DTOR] = "mb_dtor_mbuf", [SM_CB_INIT] = "mb_keg_init"},
                     NULL},
    [SM_MBZ_CLUSTER] = {"mbuf_cluster",
                        MCLBYTES,
                        64,
                        SM_ZONE_REFCNT,
                        NULL,
                        NULL,
                        {[SM_CB_CTOR] = "mb_ctor_cluster", [SM_CB_MAXACTION] = "mb_maxaction"},
                        "kern.ipc.nmbclusters limit reached"},
    [SM_MBZ_PACKET] = {"mbuf_packet",
                       MSIZE,
                       MSIZE,
                       SM_ZONE_MBUF,
                       "mbuf",
                       "mbuf_cluster",
                       {"mb_ctor_packet", "mb_dtor_mbuf", "mb_zinit_packet", "mb_zfini_packet", NULL},
                       NULL},
    [SM_MBZ_JUMBOP] = {"mbuf_jumbo_page",
                       MJUMPAGESIZE,
                       64,
                       SM_ZONE_REFCNT,
                       NULL,
                       NULL,
                       {[SM_CB_CTOR] = "mb_ctor_cluster", [SM_CB_MAXACTION] = "mb_maxaction"},
                       "kern.ipc.nmbjumbop limit reached"},
    [SM_MBZ_JUMBO9] = {"mbuf_jumbo_9k",
                       MJUM9BYTES,
                       64,
                       SM_ZONE_REFCNT,
                       NULL,
                       NULL,
                       {[SM_CB_CTOR] = "mb_ctor_cluster", [SM_CB_MAXACTION] = "mb_maxaction"},
                       "kern.ipc.nmbjumbo9 limit reached"},
    [SM_MBZ_JUMBO16] = {"mbuf_jumbo_16k",
                        MJUM16BYTES,
                        64,
                        SM_ZONE_REFCNT,
                        NULL,
                        NULL,
                        {[SM_CB_CTOR] = "mb_ctor_cluster", [SM_CB_MAXACTION] = "mb_maxaction"},
                        "kern.ipc.nmbjumbo16 limit reached"},
    [SM_MBZ_TAG] = {"mbuf_tag", MTAG_BYTES, 16, 0, NULL, NULL, {NULL}, NULL},
    [SM_MBZ_EXTREF] = {"mbuf_extref", sizeof(struct sm_extref_shm), 16, 0, NULL, NULL, {NULL}, NULL},
};

static enum sm_err zone_ensure(struct sm_mb *mb, enum sm_mb_zone which, uint32_t flags) {
    const struct zone_plan *plan = &plans[which];
    struct sm_zone_params p = {.zp_name = plan->p_name,
                               .zp_bytes = plan->p_bytes,
                               .zp_align = plan->p_align,
                               .zp_flags = plan->p_flags | (plan->p_master ? 0 : flags),
                               .zp_master = plan->p_master,
                               .zp_hoards = plan->p_hoards};
    for (int i = 0; i < SM_CB_SLOTS; i++) {
        if (plan->p_cb[i]) {
            p.zp_cb[i].cb_kind = SM_CB_NATIVE;
            strcpy(p.zp_cb[i].cb_name, plan->p_cb[i]);
        }
    }
    enum sm_err err = sm_zone_open(mb->mb_arena, plan->p_name, &p, &mb->mb_zone[which]);
    if (err == SM_NOT_FOUND) {
        err = sm_zone_create(mb->mb_arena, &p, &mb->mb_zone[which]);
        if (err == SM_EXISTS) { /* another process was quicker */
            err = sm_zone_open(mb->mb_arena, plan->p_name, &p, &mb->mb_zone[which]);
        } else if (err == SM_OK && plan->p_warning) {
            err = sm_zone_set_warning(mb->mb_zone[which], plan->p_warning);
        }
    }
    sm_crash_point(mb->mb_arena, STEP_MB_ZONE);
    return err;
}

uint32_t sm_mb_maxusers(uint64_t physical_bytes) {
    uint64_t users = physical_bytes / (2ull << 20);
    return users < MAXUSERS_LEAST ? MAXUSERS_LEAST : users > MAXUSERS_MOST ? MAXUSERS_MOST : (uint32_t)users;
}

uint64_t sm_mb_nmbclusters(uint32_t maxusers) {
    return 1024 + (uint64_t)maxusers * 64;
}

/* What a jumbo pool gets of nmbclusters unless it is set by itself. */
static uint64_t proportion(enum sm_mb_zone which, uint64_t nmbclusters) {
    static const uint8_t shift[SM_MBZ_COUNT] = {[SM_MBZ_JUMBOP] = 1, [SM_MBZ_JUMBO9] = 2, [SM_MBZ_JUMBO16] = 3};
    uint64_t n = nmbclusters >> shift[which];
    return nmbclusters != 0 && n == 0 ? 1 : n;
}

static enum sm_err limit_apply(struct sm_mb *mb, enum sm_mb_zone which, uint64_t items, uint64_t *effective) {
    uint64_t n;
    enum sm_err err = sm_zone_set_max(mb->mb_zone[which], items, effective);
    if (err == SM_OK) {
        sm_store_rlx(&mb->mb_shm->mb_limit[which], items);
    }
    /* What is cached passes no limit any more, so it goes back, packets before their clusters. */
    if (err == SM_OK && items != 0) {
        if (which == SM_MBZ_CLUSTER) {
            err = sm_zone_reclaim(mb->mb_zone[SM_MBZ_PACKET], SM_RECLAIM_DRAIN_CPU, &n, &n);
        }
        err = err == SM_OK ? sm_zone_reclaim(mb->mb_zone[which], SM_RECLAIM_DRAIN_CPU, &n, &n) : err;
    }
    return err;
}

static bool limited(enum sm_mb_zone which) {
    return which == SM_MBZ_CLUSTER || (which >= SM_MBZ_JUMBOP && which <= SM_MBZ_JUMBO16);
}

enum sm_err sm_mb_set_limit(struct sm_mb *mb, enum sm_mb_zone which, uint64_t items, uint64_t *effective) {
    uint64_t jumbos;
    if (!limited(which)) {
        return SM_INVALID;
    }
    enum sm_err err = limit_apply(mb, which, items, effective);
    if (err == SM_OK && which != SM_MBZ_CLUSTER) {
        sm_or_acqrel(&mb->mb_shm->mb_own_limits, 1u << which);
    }
    for (int i = SM_MBZ_JUMBOP; err == SM_OK && which == SM_MBZ_CLUSTER && i <= SM_MBZ_JUMBO16; i++) {
        if (!(sm_load_rlx(&mb->mb_shm->mb_own_limits) >> i & 1)) {
            err = limit_apply(mb, (enum sm_mb_zone)i, proportion((enum sm_mb_zone)i, items), &jumbos);
        }
    }
    return err;
}

uint64_t sm_mb_get_limit(const struct sm_mb *mb, enum sm_mb_zone which) {
    return limited(which) ? sm_zone_get_max(mb->mb_zone[which]) : 0;
}

static enum sm_err limits_first(struct sm_mb *mb, const struct sm_mb_params *p) {
    const int64_t jumbo[SM_MBZ_COUNT] = {
        [SM_MBZ_JUMBOP] = p->mp_nmbjumbop, [SM_MBZ_JUMBO9] = p->mp_nmbjumbo9, [SM_MBZ_JUMBO16] = p->mp_nmbjumbo16};
    uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), effective;
    uint32_t users = p->mp_maxusers ? p->mp_maxusers : sm_mb_maxusers(physical);
    mb->mb_shm->mb_maxusers = users;
    uint64_t clusters = p->mp_nmbclusters == 0 ? sm_mb_nmbclusters(users) : (uint64_t)p->mp_nmbclusters;
    enum sm_err err = sm_mb_set_limit(mb, SM_MBZ_CLUSTER, p->mp_nmbclusters < 0 ? 0 : clusters, &effective);
    for (int i = SM_MBZ_JUMBOP; err == SM_OK && i <= SM_MBZ_JUMBO16; i++) {
        if (jumbo[i] != 0) {
            err = sm_mb_set_limit(mb, (enum sm_mb_zone)i, jumbo[i] < 0 ? 0 : (uint64_t)jumbo[i], &effective);
        }
    }
    return err;
}

/* ---------------------------------------------------------------- opening */

static enum sm_err handle_new(struct sm_arena *a, struct sm_mb_shm *shm, struct sm_mb **out) {
    struct sm_mb *mb = calloc(1, sizeof *mb);
    if (mb == NULL) {
        return SM_NO_MEMORY;
    }
    mb->mb_arena = a;
    mb->mb_shm = shm;
    mb->mb_base = a->a_base;
    mb->mb_first = a->a_data_off;
    mb->mb_meta = sm_off_of(a, a->a_meta);
    *out = mb;
    return SM_OK;
}

static enum sm_err find(struct sm_arena *a, struct sm_mb **out) {
    struct sm_mb *mb = NULL;
    sm_off_t off = sm_load_acq(&a->a_ctl->ctl_mbuf); /* pairs with the release in sm_mb_open */
    if (off == 0) {
        return SM_NOT_FOUND;
    }
    if (off % SM_PAGE != 0 || off > a->a_bytes - sizeof(struct sm_mb_shm)) {
        return SM_CORRUPT;
    }
    struct sm_mb_shm *shm = sm_at(a, off);
    enum sm_err err = handle_new(a, shm, &mb);
    for (int i = 0; err == SM_OK && i < SM_MBZ_COUNT; i++) {
        err = sm_zone_by_id(a, shm->mb_zone[i], &mb->mb_zone[i]);
        if (err == SM_OK && mb->mb_zone[i]->z_item_bytes != plans[i].p_bytes) {
            err = SM_CORRUPT;
        }
    }
    if (err == SM_OK) {
        mb->mb_cluster_match = mb->mb_zone[SM_MBZ_CLUSTER]->z_page_match;
        mb->mb_counts = mb->mb_meta + mb->mb_zone[SM_MBZ_CLUSTER]->z_keg->k_aux_off;
    }
    if (err == SM_OK && a->a_mb == NULL) { /* a callback's resolution may have come here first */
        a->a_mb = mb;
    } else {
        free(mb);
    }
    *out = a->a_mb;
    return err;
}

enum sm_err sm_mb_find(struct sm_arena *a, struct sm_mb **out) {
    if (sm_likely(a->a_mb != NULL)) {
        *out = a->a_mb;
        return SM_OK;
    }
    return find(a, out);
}

enum sm_err sm_mb_open(struct sm_arena *a, const struct sm_mb_params *p, struct sm_mb **out) {
    static const struct sm_mb_params defaults = {0};
    struct sm_mb *mb = NULL;
    void *mem = NULL;
    enum sm_err err = sm_mb_find(a, out);
    if (err != SM_NOT_FOUND) {
        return err;
    }
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    if (a->a_bytes > 1ull << M_DATA_BITS) {
        return SM_UNSUPPORTED;
    }
    p = p ? p : &defaults;
    if (p->mp_zone_flags & ~(SM_ZONE_TRACE | SM_ZONE_NOFREE)) {
        return SM_INVALID; /* what else a zone may be, mbufs are not: kept, filled, fenced by canaries */
    }
    if ((err = sm_arena_region(a, SM_MB_REGION, sizeof(struct sm_mb_shm), SM_MB_VERSION, &mem)) != SM_OK ||
        (err = handle_new(a, mem, &mb)) != SM_OK) {
        return err;
    }
    for (int i = 0; err == SM_OK && i < SM_MBZ_COUNT; i++) {
        err = zone_ensure(mb, (enum sm_mb_zone)i, p->mp_zone_flags);
        if (err == SM_OK) {
            mb->mb_shm->mb_zone[i] = mb->mb_zone[i]->z_id;
        }
    }
    if (err == SM_OK && sm_load_acq(&a->a_ctl->ctl_mbuf) == 0) {
        err = limits_first(mb, p);
        sm_crash_point(a, STEP_MB_READY);
        if (err == SM_OK) {
            sm_store_rel(&a->a_ctl->ctl_mbuf, sm_off_of(a, mem)); /* pairs with the acquire in find */
        }
    }
    free(mb);
    return err == SM_OK ? sm_mb_find(a, out) : err;
}

void sm_mb_close(struct sm_arena *a) {
    struct sm_mb *mb = a->a_mb;
    for (uint32_t i = 0; mb != NULL && i < SM_EXTFREES; i++) {
        sm_zone_unresolve_one(a, &mb->mb_extfree_ctx[i]);
    }
    for (uint32_t i = 0; mb != NULL && i < SM_DRAINS; i++) {
        sm_zone_unresolve_one(a, &mb->mb_drain_ctx[i]);
    }
    if (mb != NULL) {
        sm_mac_release(mb);
    }
    free(mb);
    a->a_mb = NULL;
}

/* ---------------------------------------------------------------- drain routines */

enum sm_err sm_mb_name(struct sm_mb *mb, struct sm_callback_shm *table, uint32_t places,
                       const struct sm_callback_shm *cb, uint32_t *place) {
    uint32_t at = 0;
    enum sm_err err = sm_admin_enter(mb->mb_arena);
    if (err != SM_OK) {
        return err;
    }
    while (at < places && table[at].cb_kind != SM_CB_ABSENT &&
           (table[at].cb_kind != cb->cb_kind || strncmp(table[at].cb_name, cb->cb_name, SM_CALLBACK_BYTES) != 0)) {
        at++;
    }
    if (at == places) {
        err = SM_TABLE_FULL;
    } else if (table[at].cb_kind == SM_CB_ABSENT) {
        memcpy(table[at].cb_name, cb->cb_name, sizeof cb->cb_name);
        sm_crash_point(mb->mb_arena, STEP_CALLBACK_NAMED);
        sm_store_rel(&table[at].cb_kind, cb->cb_kind); /* pairs with the acquire in sm_mb_callback */
    }
    sm_admin_leave(mb->mb_arena);
    *place = at;
    return err;
}

sm_callback_fn sm_mb_callback(struct sm_mb *mb, const char *owner, enum sm_callback_slot slot,
                              const struct sm_callback_shm *cb, sm_callback_fn *fn, void **ctx) {
    if (*fn == NULL && sm_load_acq(&cb->cb_kind) != SM_CB_ABSENT &&
        sm_zone_resolve_one(mb->mb_arena, owner, slot, cb, fn, ctx) != SM_OK) {
        *fn = NULL;
    }
    return *fn;
}

enum sm_err sm_mb_add_drain(struct sm_mb *mb, const struct sm_callback_shm *cb) {
    sm_callback_fn fn = NULL;
    void *ctx = NULL;
    uint32_t at;
    if (cb->cb_kind == SM_CB_ABSENT) {
        return SM_INVALID;
    }
    enum sm_err err = sm_zone_resolve_one(mb->mb_arena, "drain", SM_CB_DRAIN, cb, &fn, &ctx);
    if (err == SM_OK) {
        sm_zone_unresolve_one(mb->mb_arena, &ctx); /* a drain that even its creator cannot call must not exist */
        err = sm_mb_name(mb, mb->mb_shm->mb_drain, SM_DRAINS, cb, &at);
    }
    return err;
}

/* Every routine that this process can find; called with no lock held and no operation open. */
void mb_reclaim(struct sm_mb *mb) {
    struct sm_arena *a = mb->mb_arena;
    sm_add_rlx(&mb->mb_shm->mb_drain_calls, 1);
    sm_store_rlx(&mb->mb_shm->mb_drained_ns, (uint64_t)sm_os_now_ns());
    for (uint32_t i = 0; i < SM_DRAINS; i++) {
        sm_callback_fn fn = sm_mb_callback(mb, "drain", SM_CB_DRAIN, &mb->mb_shm->mb_drain[i], &mb->mb_drain_fn[i],
                                           &mb->mb_drain_ctx[i]);
        if (fn != NULL) {
            a->a_inside++;
            (void)fn(NULL, 0, NULL, 0, mb->mb_drain_ctx[i]);
            a->a_inside--;
        }
    }
}
