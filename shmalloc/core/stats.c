/* stats.c - plain records read from the tables. Takes the keg lock for the figures of a zone when it can (writable
 * attachment, lock free or soon free) and reads without it otherwise. Changes nothing. After UMA's
 * sysctl_vm_zone_stats.
 *
 * Of the items of one keg:  slabs * items per slab = keg_free + sum over its zones of (used + bucket_free + cpu_free),
 * exactly when nothing moves, and for each zone free = bucket_free + cpu_free, plus keg_free in the primary zone only,
 * so that a sum over zones counts no item twice.
 */
#include "stats.h"

#include <string.h>

#include "cpu.h"
#include "keg.h"
#include "mbuf_walk.h"
#include "quiesce.h"

/* A name from shared memory always ends within its field here. */
static void name_copy(char to[SM_NAME_BYTES], const char *from) {
    memcpy(to, from, SM_NAME_BYTES);
    to[SM_NAME_BYTES - 1] = 0;
}

static uint32_t at_most(uint32_t n, uint32_t bound) {
    return n < bound ? n : bound;
}

static uint32_t cpus_used(const struct sm_arena *a) {
    return at_most(sm_load_acq(&a->a_ctl->ctl_cpu_high), a->a_header->h_max_cpus);
}

static bool cpu_used(const struct sm_arena *a, uint32_t cpu) {
    return cpu < cpus_used(a) && sm_load_acq(&a->a_cpus[cpu].cpu_state) != SM_CPU_FREE;
}

static bool zone_used(const struct sm_arena *a, uint32_t id) {
    return id < a->a_header->h_max_zones && sm_load_acq(&a->a_zones[id].z_state) != SM_ZONE_FREE;
}

/* One CPU's share. Frees are read before allocations: an item freed between the two loads makes the difference too
 * large by one, never negative. */
static bool cache_read(const struct sm_arena *a, uint32_t cpu, uint32_t zone, struct sm_cpu_zone_stats *out) {
    const struct sm_cache_shm *c = sm_cache_of(a, cpu, zone);
    if (!cpu_used(a, cpu) || sm_load_rlx(&c->c_zone_gen) != sm_load_rlx(&a->a_zones[zone].z_gen)) {
        *out = (struct sm_cpu_zone_stats){0};
        return false;
    }
    out->cz_frees = sm_load_acq(&c->c_frees);
    out->cz_allocs = sm_load_acq(&c->c_allocs);
    out->cz_fails = sm_load_rlx(&c->c_fails);
    out->cz_sleeps = sm_load_rlx(&c->c_sleeps);
    /* Counts past the bucket's size can only be damage: check says so, here they are bounded. */
    out->cz_cached =
        at_most(sm_load_rlx(&c->c_alloc_n), SM_BUCKET_ITEMS) + at_most(sm_load_rlx(&c->c_free_n), SM_BUCKET_ITEMS);
    return true;
}

static void zone_figures(const struct sm_arena *a, uint32_t id, struct sm_zone_stats *out) {
    const struct sm_zone_shm *z = &a->a_zones[id];
    const struct sm_keg_shm *k = &a->a_kegs[z->z_keg];
    out->zs_frees = sm_load_rlx(&z->z_frees);
    out->zs_allocs = sm_load_rlx(&z->z_allocs);
    out->zs_fails = sm_load_rlx(&z->z_fails);
    out->zs_sleeps = sm_load_rlx(&z->z_sleeps);
    for (uint32_t c = 0, n = cpus_used(a); c < n; c++) {
        struct sm_cpu_zone_stats s;
        if (cache_read(a, c, id, &s)) {
            out->zs_frees += s.cz_frees;
            out->zs_allocs += s.cz_allocs;
            out->zs_fails += s.cz_fails;
            out->zs_sleeps += s.cz_sleeps;
            out->zs_cpu_free += s.cz_cached;
        }
    }
    out->zs_used = out->zs_allocs > out->zs_frees ? out->zs_allocs - out->zs_frees : 0;
    out->zs_init_fails = sm_load_rlx(&z->z_init_fails);
    out->zs_bucket_free = sm_load_rlx(&z->z_full_items);
    out->zs_keg_free = sm_load_rlx(&k->k_free);
    out->zs_free = out->zs_bucket_free + out->zs_cpu_free + (z->z_master == id ? out->zs_keg_free : 0);
    out->zs_slabs = sm_load_rlx(&k->k_slabs);
    out->zs_pages = sm_load_rlx(&k->k_pages_used);
    out->zs_limit = sm_load_rlx(&k->k_max_slabs) * k->k_items;
    out->zs_reserve = sm_load_rlx(&k->k_reserve);
    out->zs_waiters = sm_load_rlx(&k->k_waiters);
    out->zs_meta_bytes = out->zs_slabs * k->k_block_bytes;
    out->zs_bucket_size = sm_load_rlx(&z->z_bucket_size);
    out->zs_bucket_max = sm_load_rlx(&z->z_bucket_max);
    out->zs_wss = sm_load_rlx(&z->z_wss);
    out->zs_imin = sm_load_rlx(&z->z_imin);
    out->zs_imax = sm_load_rlx(&z->z_imax);
}

enum sm_err sm_stats_zone(struct sm_arena *a, uint32_t id, struct sm_zone_stats *out) {
    if (!zone_used(a, id)) {
        return SM_NOT_FOUND;
    }
    const struct sm_zone_shm *z = &a->a_zones[id];
    uint32_t keg = z->z_keg, master = z->z_master;
    if (keg >= a->a_header->h_max_zones || master >= a->a_header->h_max_zones) {
        return SM_CORRUPT;
    }
    const struct sm_keg_shm *k = &a->a_kegs[keg];
    memset(out, 0, sizeof *out);
    out->zs_id = id;
    out->zs_flags = z->z_flags;
    name_copy(out->zs_name, z->z_name);
    name_copy(out->zs_master, a->a_zones[master].z_name);
    out->zs_item_bytes = z->z_item_bytes;
    out->zs_stride_bytes = k->k_stride_bytes;
    out->zs_align = k->k_align;
    out->zs_items_per_slab = k->k_items;
    out->zs_pages_per_slab = k->k_pages;
    out->zs_efficiency = k->k_efficiency;
    /* Without the lock (read-only, or its holder is dead or slow) each figure is still a value that was true. */
    bool op = a->a_writable && sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, id, 0)) == SM_OK;
    bool locked = op && sm_keg_lock(a, keg) == SM_OK;
    zone_figures(a, id, out);
    if (locked) {
        sm_keg_unlock(a, keg);
    }
    if (op) {
        sm_op_leave(a);
    }
    return SM_OK;
}

enum sm_err sm_stats_cpu_zone(struct sm_arena *a, uint32_t cpu, uint32_t zone, struct sm_cpu_zone_stats *out) {
    if (!zone_used(a, zone) || !cpu_used(a, cpu)) {
        return SM_NOT_FOUND;
    }
    (void)cache_read(a, cpu, zone, out); /* zeros when this CPU has not used the zone */
    return SM_OK;
}

enum sm_err sm_stats_cpu(struct sm_arena *a, uint32_t cpu, struct sm_cpu_stats *out) {
    if (!cpu_used(a, cpu)) {
        return SM_NOT_FOUND;
    }
    const struct sm_cpu_shm *c = &a->a_cpus[cpu];
    *out = (struct sm_cpu_stats){
        .cs_id = cpu,
        .cs_state = sm_load_acq(&c->cpu_state),
        .cs_pid = sm_load_rlx(&c->cpu_pid),
        .cs_uid = sm_load_rlx(&c->cpu_uid),
        .cs_alive = a->a_live && sm_cpu_alive(a, cpu),
        .cs_op = sm_load_rlx(&c->cpu_op),
        .cs_start = sm_load_rlx(&c->cpu_start),
        .cs_gen = sm_load_rlx(&c->cpu_gen),
        .cs_visits = sm_load_rlx(&c->cpu_visits),
        .cs_attached_ns = sm_load_rlx(&c->cpu_attached_ns),
    };
    name_copy(out->cs_name, c->cpu_name);
    return SM_OK;
}

enum sm_err sm_stats_queue(struct sm_arena *a, uint32_t id, struct sm_queue_stats *out) {
    if (id >= a->a_header->h_max_queues || sm_load_acq(&a->a_queues[id].q_state) != SM_ZONE_LIVE) {
        return SM_NOT_FOUND;
    }
    const struct sm_queue_shm *q = &a->a_queues[id];
    /* Head before tail: the difference may count what was put between the loads, and is never negative. */
    uint64_t head = sm_load_acq(&q->q_head), tail = sm_load_acq(&q->q_tail), limit = q->q_limit;
    *out = (struct sm_queue_stats){
        .qs_length = tail - head < limit ? tail - head : limit,
        .qs_depth = limit,
        .qs_puts = tail,
        .qs_gets = head,
        .qs_item_waiters = sm_load_rlx(&q->q_item_waiters),
        .qs_space_waiters = sm_load_rlx(&q->q_space_waiters),
    };
    name_copy(out->qs_name, q->q_name);
    return SM_OK;
}

enum sm_err sm_stats_type(struct sm_arena *a, uint32_t id, struct sm_type_stats *out) {
    uint32_t types = at_most(sm_load_acq(&a->a_ctl->ctl_types), a->a_header->h_max_types);
    if (id >= types || a->a_types[id].ty_name[0] == 0) {
        return SM_NOT_FOUND;
    }
    const struct sm_type_shm *t = &a->a_types[id];
    uint64_t frees = sm_load_rlx(&t->ty_frees), bytes_out = sm_load_rlx(&t->ty_bytes_out);
    uint64_t allocs = sm_load_rlx(&t->ty_allocs), bytes_in = sm_load_rlx(&t->ty_bytes_in);
    uint64_t fails = sm_load_rlx(&t->ty_fails);
    for (uint32_t c = 0, n = cpus_used(a); c < n; c++) {
        const struct sm_type_stat_shm *s = &a->a_type_stats[(uint64_t)c * a->a_header->h_max_types + id];
        if (!cpu_used(a, c)) {
            continue;
        }
        frees += sm_load_acq(&s->ts_frees); /* before the allocations, as in cache_read */
        bytes_out += sm_load_acq(&s->ts_bytes_out);
        allocs += sm_load_acq(&s->ts_allocs);
        bytes_in += sm_load_acq(&s->ts_bytes_in);
        fails += sm_load_rlx(&s->ts_fails);
    }
    *out = (struct sm_type_stats){
        .ms_in_use = allocs > frees ? allocs - frees : 0,
        .ms_bytes = bytes_in > bytes_out ? bytes_in - bytes_out : 0,
        .ms_requests = allocs,
        .ms_fails = fails,
        .ms_sizes = sm_load_rlx(&t->ty_sizes),
    };
    name_copy(out->ms_name, t->ty_name);
    return SM_OK;
}

enum sm_err sm_stats_arena(struct sm_arena *a, struct sm_arena_stats *out) {
    const struct sm_header_shm *h = a->a_header;
    const struct sm_control_shm *ctl = a->a_ctl;
    *out = (struct sm_arena_stats){
        .as_object_bytes = h->h_object_bytes,
        .as_max_bytes = h->h_max_bytes,
        .as_free_pages = sm_load_rlx(&ctl->ctl_free_pages),
        .as_hole_pages = sm_load_rlx(&ctl->ctl_hole_pages),
        .as_frontier_pages = sm_load_acq(&ctl->ctl_frontier),
        .as_meta_pages = sm_load_rlx(&ctl->ctl_meta_frontier),
        .as_punched_pages = sm_load_rlx(&ctl->ctl_punched),
        .as_buckets = sm_load_rlx(&ctl->ctl_bucket_next),
        .as_attaches = sm_load_rlx(&ctl->ctl_attaches),
        .as_events = sm_load_rlx(&ctl->ctl_event_seq),
        .as_max_cpus = h->h_max_cpus,
        .as_uuid = h->h_uuid,
        .as_created_ns = h->h_created_ns,
        .as_flags = h->h_flags,
        .as_version = h->h_version,
        .as_owner_uid = h->h_owner_uid,
        .as_creator_pid = h->h_creator_pid,
    };
    uint64_t idle = out->as_free_pages + out->as_hole_pages;
    out->as_used_pages = out->as_frontier_pages > idle ? out->as_frontier_pages - idle : 0;
    for (uint32_t c = 0, n = cpus_used(a); c < n; c++) {
        if (cpu_used(a, c)) {
            bool alive = a->a_live && sm_cpu_alive(a, c);
            out->as_live_cpus += alive;
            out->as_dead_cpus += !alive;
        }
    }
    for (uint32_t i = 0; i < h->h_max_zones; i++) {
        out->as_zones += zone_used(a, i);
    }
    for (uint32_t i = 0; i < h->h_max_queues; i++) {
        out->as_queues += sm_load_acq(&a->a_queues[i].q_state) == SM_ZONE_LIVE;
    }
    out->as_types = at_most(sm_load_acq(&ctl->ctl_types), h->h_max_types);
    /* A copy in an ordinary file says how much of it has blocks behind it: the same question, the same call. */
    return sm_os_allocated(a->a_fd, &out->as_allocated_bytes);
}

/* The lock of a sockbuf's place in the table; one that was never used has none yet. */
static enum sm_err sockbuf_lock(struct sm_arena *a, uint32_t i, const struct sm_lock_shm **l) {
    struct sm_walk w;
    if (i >= SM_SOCKBUFS || !sm_walk_begin(a, &w)) {
        return SM_NOT_FOUND;
    }
    *l = &w.w_shm->mb_sockbuf[i].sb_lock;
    return sm_load_acq(&w.w_shm->mb_sockbuf[i].sb_gen) != 0 ? SM_OK : SM_EMPTY;
}

enum sm_err sm_stats_core_lock(struct sm_arena *a, uint32_t place, struct sm_core_lock_stats *out) {
    struct sm_control_shm *ctl = a->a_ctl;
    const struct sm_lock_shm *const first[] = {&ctl->ctl_quiesce, &ctl->ctl_admin, &ctl->ctl_page}, *l = NULL;
    const uint32_t classes[] = {SM_LC_QUIESCE, SM_LC_ADMIN, SM_LC_PAGE}, n = sizeof first / sizeof *first;
    uint32_t kegs = a->a_header->h_max_zones;
    *out = (struct sm_core_lock_stats){0};
    if (place < n) {
        l = first[place];
        out->cl_class = classes[place];
    } else if (place - n < kegs) {
        l = &a->a_kegs[place - n].k_lock;
        out->cl_class = SM_LC_KEG;
        out->cl_instance = place - n;
    } else {
        enum sm_err err = sockbuf_lock(a, place - n - kegs, &l);
        if (err != SM_OK) {
            return err;
        }
        out->cl_class = SM_LC_SOCKBUF;
        out->cl_instance = place - n - kegs;
    }
    uint32_t owner = sm_load_rlx(&l->l_owner);
    out->cl_cpu = owner ? owner - 1 : SM_CPU_NONE;
    out->cl_dirty = sm_load_rlx(&l->l_dirty) != 0;
    return owner || out->cl_dirty ? SM_OK : SM_EMPTY;
}
