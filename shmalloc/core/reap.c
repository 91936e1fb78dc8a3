/* reap.c - the reaper's driver: finds the dead, stops the world, has the truth swept and the rest rebuilt, then runs what
 * is due with the world going again. Takes the quiesce lock. Step by step, and what a killed reaper leaves:
 *   1 world stopped, ctl_reaping set    nobody moves; the next holder of the quiesce lock starts again from here
 *   2 words swept                       each store decides one item; what is not decided yet still names the dead CPU
 *   3 lists, rings, counters rebuilt    derived data half new: rebuilt again from the start
 *   4 slots freed                       a slot freed early owns nothing any more
 *   5 ctl_reaping cleared, world goes   items that need a dtor are HELD by the reaper: its own reaper frees them
 */
#include "reap.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bucket.h"
#include "cpu.h"
#include "malloc.h"
#include "mbuf_walk.h"
#include "quiesce.h"
#include "reap_impl.h"
#include "tunable.h"
#include "zone_impl.h"

enum reap_step {
    STEP_REAPING = 0x700,
    STEP_WORDS_SWEPT,
    STEP_QUEUES_REBUILT,
    STEP_LOCKS_MOURNED,
    STEP_LISTS_REBUILT,
    STEP_LOCKS_CLEAN,
    STEP_SLOT_FREED,
    STEP_SLOTS_FREED,
    STEP_REAPED,
    STEP_WORLD_GOES,
    STEP_ITEM_FINISHED,
    STEP_DEATHS_TOLD
};

#define DEATH_LIMIT_NS 200000000ll /* from a robust lock's EOWNERDEAD until the lock byte of the dead process is free */
#define DEATH_POLL_NS 100000

static void job_free(struct sm_reap_job *j) {
    free(j->rj_dead);
    free(j->rj_cached);
    free(j->rj_placed);
    free(j->rj_live);
    free(j->rj_freed);
    free(j->rj_type_items);
    free(j->rj_type_bytes);
    free(j->rj_later);
    free(j->rj_reached);
    free(j->rj_lost);
}

static enum sm_err job_new(struct sm_arena *a, struct sm_reap_job *j) {
    const struct sm_header_shm *h = a->a_header;
    uint64_t bits = (a->a_ctl->ctl_frontier << SM_PAGE_SHIFT) / SM_MIN_ITEM / 8 + 1;
    *j = (struct sm_reap_job){
        .rj_arena = a,
        .rj_dead = calloc(h->h_max_cpus, sizeof(bool)),
        .rj_cached = calloc(1, bits), /* sparse: pages of it that no bit is set in are never touched */
        .rj_placed = calloc(1, bits),
        .rj_live = calloc(h->h_max_zones, sizeof(uint64_t)),
        .rj_freed = calloc(h->h_max_zones, sizeof(uint64_t)),
        .rj_type_items = calloc(h->h_max_types, sizeof(uint64_t)),
        .rj_type_bytes = calloc(h->h_max_types, sizeof(uint64_t)),
    };
    if (j->rj_dead && j->rj_cached && j->rj_placed && j->rj_live && j->rj_freed && j->rj_type_items &&
        j->rj_type_bytes) {
        return SM_OK;
    }
    job_free(j);
    return SM_NO_MEMORY;
}

/* The lock of a sockbuf, NULL when it was never formatted. That of a destroyed one counts: handles of it may still come. */
static struct sm_lock_shm *sockbuf_lock(struct sm_arena *a, uint32_t i) {
    struct sm_walk w;
    if (!sm_walk_begin(a, &w) || sm_load_acq(&w.w_shm->mb_sockbuf[i].sb_gen) == 0) {
        return NULL;
    }
    return &w.w_shm->mb_sockbuf[i].sb_lock;
}

static void add_dirt(const struct sm_lock_shm *l, unsigned *dirt) {
    *dirt |= l == NULL ? 0 : sm_load_acq(&l->l_dirty);
}

/* What is to be rebuilt, and why: enum sm_lock_dirt. */
static unsigned any_dirty(struct sm_arena *a) {
    unsigned dirt = a->a_ctl->ctl_reaping ? SM_LOCK_DIED : 0;
    add_dirt(&a->a_ctl->ctl_admin, &dirt);
    add_dirt(&a->a_ctl->ctl_page, &dirt);
    for (uint32_t i = 0; a->a_ctl->ctl_mbuf != 0 && i < SM_SOCKBUFS; i++) {
        add_dirt(sockbuf_lock(a, i), &dirt);
    }
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        add_dirt(&a->a_kegs[i].k_lock, &dirt);
    }
    return dirt;
}

/* A robust lock reports a death before the dead process's descriptors are closed: give the kernel that moment. */
static uint32_t wait_for_death(const struct sm_arena *a) {
    int64_t deadline = sm_os_now_ns() + DEATH_LIMIT_NS;
    uint32_t dead = sm_cpu_count_dead(a);
    while (dead == 0 && sm_os_now_ns() < deadline) {
        sm_os_nap_ns(DEATH_POLL_NS);
        dead = sm_cpu_count_dead(a);
    }
    return dead;
}

static void find_dead(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t i = 0; i < a->a_ctl->ctl_cpu_high && i < a->a_header->h_max_cpus; i++) {
        if (a->a_cpus[i].cpu_state != SM_CPU_FREE && i != a->a_cpu_id && !sm_cpu_alive(a, i)) {
            j->rj_dead[i] = true;
            sm_reap_note_cpu(j, i);
        }
    }
}

/* An attachment without a slot needs one before any word is decided, since what needs a dtor becomes its own. It takes a
 * dead CPU's: the lock byte, the number, and so what that one held. */
static enum sm_err take_over(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t i = 0; a->a_cpu_id == SM_CPU_NONE && i < a->a_header->h_max_cpus; i++) {
        bool got = false;
        if (j->rj_dead[i] && sm_os_byte_lock(a->a_fd, SM_LOCKBYTE_CPU(i), &got) == SM_OK && got) {
            a->a_cpu_id = i;
        }
    }
    return a->a_cpu_id == SM_CPU_NONE ? SM_NO_CPU : SM_OK;
}

/* Nobody is dead that a dead reaper has not freed, and the kernel has not closed yet what that reaper had open: a free
 * slot, LIVE before anything is decided, so that a crash leaves it a dead CPU's; else the reaper's own, in a moment. */
static enum sm_err take_any(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t i = 0; a->a_cpu_id == SM_CPU_NONE && i < a->a_header->h_max_cpus; i++) {
        bool got = false;
        if (sm_load_acq(&a->a_cpus[i].cpu_state) == SM_CPU_FREE &&
            sm_os_byte_lock(a->a_fd, SM_LOCKBYTE_CPU(i), &got) == SM_OK && got) {
            a->a_cpu_id = i;
        }
    }
    if (a->a_cpu_id != SM_CPU_NONE) {
        return sm_cpu_take_slot(a);
    }
    if (wait_for_death(a) > 0) {
        find_dead(j);
    }
    return take_over(j);
}

static void mark_bucket(struct sm_reap_job *j, sm_off_t bucket, uint32_t count) {
    const struct sm_bucket_shm *b = sm_bucket_at(j->rj_arena, bucket);
    for (uint32_t i = 0; bucket != 0 && i < count && i < SM_BUCKET_ITEMS; i++) {
        sm_reap_set_bit(j->rj_cached, sm_reap_key(j->rj_arena, b->b_entry[i].e_item));
    }
}

/* The living keep their buckets: they are whole, their owners are between two operations. */
static void mark_cached(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t cpu = 0; cpu < a->a_ctl->ctl_cpu_high; cpu++) {
        for (uint32_t id = 0; a->a_cpus[cpu].cpu_state != SM_CPU_FREE && !j->rj_dead[cpu] && id < a->a_ctl->ctl_zones;
             id++) {
            const struct sm_cache_shm *c = sm_cache_of(a, cpu, id);
            mark_bucket(j, c->c_alloc, c->c_alloc_n);
            mark_bucket(j, c->c_free, c->c_free_n);
        }
    }
}

static void clean_lock(struct sm_arena *a, struct sm_lock_shm *l) {
    bool contended;
    enum sm_err err = sm_lock_acquire(l, a->a_cpu_id, sm_tunable_get(a, SM_TU_STALL_MS) * 1000000, &contended);
    if (err == SM_OK || err == SM_DEAD_PEER) {
        l->l_dirty = 0;
        sm_lock_release(l);
    }
}

/* Every lock is free or a dead thread's: no live CPU is inside an operation. */
static void clean_locks(struct sm_arena *a) {
    clean_lock(a, &a->a_ctl->ctl_admin);
    clean_lock(a, &a->a_ctl->ctl_page);
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        clean_lock(a, &a->a_kegs[i].k_lock);
    }
    for (uint32_t i = 0; a->a_ctl->ctl_mbuf != 0 && i < SM_SOCKBUFS; i++) {
        struct sm_lock_shm *l = sockbuf_lock(a, i);
        if (l != NULL) {
            clean_lock(a, l);
        }
    }
}

static void dirty_locks(struct sm_arena *a) {
    a->a_ctl->ctl_admin.l_dirty = a->a_ctl->ctl_page.l_dirty = SM_LOCK_DIED;
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        a->a_kegs[i].k_lock.l_dirty = SM_LOCK_DIED;
    }
    for (uint32_t i = 0; a->a_ctl->ctl_mbuf != 0 && i < SM_SOCKBUFS; i++) {
        struct sm_lock_shm *l = sockbuf_lock(a, i);
        if (l != NULL) {
            l->l_dirty = SM_LOCK_DIED;
        }
    }
}

static enum sm_err free_slots(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t i = 0; i < a->a_header->h_max_cpus; i++) {
        if (!j->rj_dead[i] || i == a->a_cpu_id) { /* a slot taken over stays LIVE: items are HELD under it already */
            continue;
        }
        struct sm_cpu_shm *c = &a->a_cpus[i];
        sm_store_rlx(&c->cpu_op, 0);
        c->cpu_op_arg = 0;
        sm_store_rel(&c->cpu_state, SM_CPU_FREE);
        sm_crash_point(a, STEP_SLOT_FREED);
    }
    uint32_t live = 0;
    for (uint32_t i = 0; i < a->a_ctl->ctl_cpu_high; i++) {
        live += a->a_cpus[i].cpu_state != SM_CPU_FREE;
    }
    a->a_ctl->ctl_attached = live;
    return a->a_cpu == &a->a_orphan ? sm_cpu_take_slot(a) : SM_OK;
}

static enum sm_err rebuild(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    if (a->a_cpu_id == SM_CPU_NONE) {
        enum sm_err err = j->rj_report.rr_cpus > 0 ? take_over(j) : take_any(j);
        if (err != SM_OK) {
            return err;
        }
    }
    a->a_ctl->ctl_reaping = 1;
    sm_crash_point(a, STEP_REAPING);
    mark_cached(j);
    sm_reap_places(j);
    sm_reap_words(j);
    sm_crash_point(a, STEP_WORDS_SWEPT);
    if (j->rj_error == SM_OK) {
        sm_reap_queues(j);
    }
    sm_crash_point(a, STEP_QUEUES_REBUILT);
    if (j->rj_error == SM_OK) { /* after the queues: a head that was found again reaches the rest of its packet */
        sm_reap_mbufs(j);
    }
    sm_reap_locks(j);
    sm_crash_point(a, STEP_LOCKS_MOURNED);
    if (j->rj_error == SM_OK) {
        sm_reap_lists(j);
    }
    if (j->rj_error == SM_OK) {
        sm_crash_point(a, STEP_LISTS_REBUILT);
        clean_locks(a);
        sm_crash_point(a, STEP_LOCKS_CLEAN);
        /* Before the slots are free, so that no death goes untold: a reaper that dies from here on has told it, one that
         * dies earlier leaves the slot to another, who tells it. A crash between the two leaves the death told twice. */
        sm_reap_tell_deaths(j);
        sm_crash_point(a, STEP_DEATHS_TOLD);
        j->rj_error = free_slots(j);
    }
    if (j->rj_error == SM_OK) {
        sm_crash_point(a, STEP_SLOTS_FREED);
        a->a_ctl->ctl_reaping = 0;
        sm_crash_point(a, STEP_REAPED);
    } else {
        dirty_locks(a); /* half rebuilt: whoever needs a list recovers first */
    }
    return j->rj_error;
}

static void wake_all(struct sm_arena *a) {
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        struct sm_keg_shm *k = &a->a_kegs[i];
        if (sm_load_rlx(&k->k_waiters) != 0) {
            sm_add_acqrel(&k->k_seq, 1);
            sm_os_futex_wake(&k->k_seq, INT_MAX);
        }
    }
    sm_walk_wake_sockbufs(a);
}

/* With the world going again: dtors, finis and runs of the dead. */
static void finish_later(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint64_t i = 0; i < j->rj_later_n; i++) {
        const struct sm_reap_item *ri = &j->rj_later[i];
        struct sm_zone *z = NULL;
        void *mem = NULL;
        enum sm_err err = sm_zone_by_id(a, ri->ri_zone, &z);
        if (err == SM_OK) {
            mem = z->z_base + ri->ri_entry.e_item + z->z_item_off;
        }
        if (err == SM_OK && ri->ri_fini) {
            err = sm_zone_retire(z, &ri->ri_entry, 1, false, true);
        } else if (err == SM_OK && z->z_flags & SM_ZONE_RUNS) {
            err = sm_malloc_free(a, mem);
        } else if (err == SM_OK) {
            err = sm_zone_free(z, mem, NULL);
        }
        sm_crash_point(a, STEP_ITEM_FINISHED);
        /* What cannot be freed here (a callback that only other processes know) stays with this CPU until it leaves. */
        if (ri->ri_fini) {
            j->rj_report.rr_uncached += err == SM_OK;
        } else if (err == SM_OK || err == SM_MODIFIED) {
            j->rj_report.rr_freed++;
            j->rj_freed[ri->ri_zone]++;
        }
    }
}

static enum sm_err reap_locked(struct sm_arena *a, struct sm_reap_job *j) {
    int64_t start = sm_os_now_ns();
    enum sm_err err = sm_quiesce_all(a);
    if (err == SM_OK && (err = job_new(a, j)) == SM_OK) {
        j->rj_report.rr_at_ns = sm_os_wall_ns();
        find_dead(j);
        err = j->rj_report.rr_cpus > 0 || any_dirty(a) != 0 ? rebuild(j) : SM_OK;
        j->rj_report.rr_stopped_ns = sm_os_now_ns() - start;
        if (err != SM_OK) {
            job_free(j);
        }
    }
    return err;
}

/* The quiesce lock is held, and released here: whoever it was taken for, dtors must run without it. */
static enum sm_err reap_and_finish(struct sm_arena *a, int64_t start, struct sm_reap_report *report) {
    struct sm_reap_job j;
    enum sm_err err = reap_locked(a, &j);
    sm_quiesce_end(a);
    if (err != SM_OK) {
        return err;
    }
    sm_crash_point(a, STEP_WORLD_GOES);
    wake_all(a);
    sm_zone_rebind(a);
    finish_later(&j);
    j.rj_report.rr_by_cpu = a->a_cpu_id;
    j.rj_report.rr_by_pid = a->a_cpu->cpu_pid;
    j.rj_report.rr_total_ns = sm_os_now_ns() - start;
    sm_reap_tell_totals(&j);
    if (report) {
        *report = j.rj_report;
    }
    job_free(&j);
    return SM_OK;
}

enum sm_err sm_reap_stopped(struct sm_arena *a) {
    return reap_and_finish(a, sm_os_now_ns(), NULL);
}

enum sm_err sm_reap(struct sm_arena *a, struct sm_reap_report *report) {
    if (report) {
        *report = (struct sm_reap_report){0};
    }
    int64_t start = sm_os_now_ns();
    unsigned dirt = any_dirty(a);
    if ((dirt & SM_LOCK_DIED ? wait_for_death(a) : sm_cpu_count_dead(a)) == 0 && dirt == 0) {
        return SM_OK;
    }
    enum sm_err err = sm_quiesce_take(a);
    return err == SM_OK ? reap_and_finish(a, start, report) : err;
}
