/* attach.c - create, attach, detach, close, fork: the life of one attachment, its CPU and its zone handles.
 * Owns struct sm_arena. Takes no lock itself (cpu.c takes the quiesce lock). A layer above arena.h, which declares these
 * functions, because an attachment's end has to hand back what its zones cached.
 */
#include "arena.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena_format.h"
#include "cpu.h"
#include "depart.h"
#include "malloc.h"
#include "mbuf_zone.h"
#include "quiesce.h"
#include "reap.h"
#include "userlock.h"
#include "zone.h"

static enum sm_err ensure_cpu(struct sm_arena *a);

static enum sm_err recover(struct sm_arena *a) {
    return sm_reap(a, NULL);
}

static void hooks_arm(struct sm_arena *a, const struct sm_hooks *h) {
    struct sm_armed_hooks *to = &a->a_hooks;
#define ARM(bit, hook, ctx)                                                                                            \
    if (h->h_mask & (bit)) {                                                                                           \
        to->hook = h->hook;                                                                                            \
        to->ctx = h->h_ctx;                                                                                            \
    }
    ARM(SM_HOOK_FAULT, h_fault, h_fault_ctx)
    ARM(SM_HOOK_LOCK, h_lock, h_lock_ctx)
    ARM(SM_HOOK_SLEEP, h_may_sleep, h_sleep_ctx)
    ARM(SM_HOOK_CRASH, h_crash, h_crash_ctx)
    ARM(SM_HOOK_USERLOCK, h_userlock, h_userlock_ctx)
#undef ARM
    to->h_mask |= h->h_mask & ~SM_HOOK_TRACE; /* last: a probe follows a slot only when its bit is set */
}

static enum sm_err attachment_new(const struct sm_runtime *rt, const char *cpu_name, struct sm_arena **out) {
    enum sm_err err = sm_mb_register();
    struct sm_arena *a = err == SM_OK ? calloc(1, sizeof *a) : NULL;
    if (a == NULL) {
        return err == SM_OK ? SM_NO_MEMORY : err;
    }
    a->a_fd = -1;
    a->a_cpu_id = SM_CPU_NONE;
    a->a_cpu = &a->a_orphan;
    a->a_orphan.cpu_claim = SM_CLAIM_QUIESCE;
    a->a_live = true;
    a->a_ensure = ensure_cpu;
    a->a_recover = recover;
    a->a_rebuild = sm_reap_stopped;
    a->a_mfree = sm_mb_free_item;
    if (rt) {
        a->a_runtime = *rt;
        a->a_runtime.rt_hooks = NULL; /* the caller's table lives no longer than the call */
        if (rt->rt_hooks) {
            hooks_arm(a, rt->rt_hooks);
        }
    }
    if (cpu_name) {
        strncpy(a->a_cpu_name, cpu_name, sizeof a->a_cpu_name - 1);
    }
    *out = a;
    return SM_OK;
}

static void attachment_drop(struct sm_arena *a) {
    sm_mb_close(a);
    if (a->a_zone) {
        sm_zone_close_all(a);
        free(a->a_zone);
    }
    if (a->a_mapped_here && a->a_base) {
        sm_os_unmap(a->a_base, a->a_bytes);
    }
    if (a->a_fd >= 0) {
        sm_os_close(a->a_fd);
    }
    free(a->a_site_known);
    free(a);
}

/* Maps through a description of its own: a mapping keeps its description open, and forked children inherit mappings. The
 * one that carries this CPU's lock byte must be closed when this process has died, whoever still maps the object. */
static enum sm_err object_map(const struct sm_arena *a, uint64_t bytes, void **base) {
    int fd = -1;
    enum sm_err err = sm_os_reopen(a->a_fd, a->a_writable, &fd);
    if (err == SM_OK) {
        err = sm_os_map(fd, bytes, a->a_writable, base);
        sm_os_close(fd);
    }
    return err;
}

static enum sm_err attachment_bind(struct sm_arena *a, void *base, uint64_t bytes) {
    sm_format_bind(a, base, bytes);
    a->a_zone = calloc(a->a_header->h_max_zones, sizeof *a->a_zone);
    return a->a_zone ? SM_OK : SM_NO_MEMORY;
}

/* Claims a slot and points every open zone handle at it. */
static enum sm_err claim(struct sm_arena *a) {
    enum sm_err err = sm_cpu_claim(a);
    if (err == SM_DEAD_PEER && (err = sm_reap(a, NULL)) == SM_OK && a->a_cpu == &a->a_orphan) {
        err = sm_cpu_claim(a); /* the slot was freed by another reaper, not by us */
    }
    if (err == SM_OK) {
        sm_zone_rebind(a);
    }
    return err;
}

static enum sm_err barrier_there(struct sm_arena *a) {
    enum sm_err err = sm_fault(a, SM_FP_BARRIER, NULL, 0, 0);
    return err == SM_OK && !sm_os_membarrier_register() ? SM_UNSUPPORTED : err;
}

static enum sm_err create_formatted(struct sm_arena *a, const struct sm_geometry *g) {
    struct sm_header_shm h = {
        .h_magic = SM_MAGIC,
        .h_version = SM_LAYOUT_VERSION,
        .h_header_bytes = sizeof h,
        .h_page_bytes = SM_PAGE,
        .h_max_bytes = g->g_max_bytes,
        .h_uuid = sm_os_random(),
        .h_created_ns = sm_os_wall_ns(),
        .h_owner_uid = (uint32_t)getuid(),
        .h_creator_pid = (uint32_t)getpid(),
        .h_max_cpus = g->g_max_cpus,
        .h_max_zones = g->g_max_zones,
        .h_max_queues = g->g_max_queues,
        .h_max_types = g->g_max_types,
        .h_max_buckets = g->g_max_buckets,
        .h_max_events = g->g_max_events,
        .h_max_sites = g->g_max_sites,
        .h_flags = (g->g_fenced || barrier_there(a) != SM_OK ? SM_ARENA_FENCED : 0) | (g->g_trace ? SM_ARENA_TRACE : 0),
    };
    sm_format_place(&h);
    h.h_checksum = sm_format_checksum(&h);
    enum sm_err err = sm_os_set_size(a->a_fd, h.h_object_bytes);
    void *base = NULL;
    if (err == SM_OK) {
        err = sm_fault(a, SM_FP_COMMIT, NULL, SM_PAGE, 0);
    }
    if (err == SM_OK) {
        /* The header page is committed and written through the descriptor before the mapping is read, so that binding
         * never touches a page that a full file system could refuse (SIGBUS). */
        err = sm_os_commit(a->a_fd, 0, SM_PAGE);
    }
    if (err == SM_OK && pwrite(a->a_fd, &h, sizeof h, 0) != (ssize_t)sizeof h) {
        err = SM_OS;
    }
    if (err == SM_OK && (err = object_map(a, h.h_object_bytes, &base)) == SM_OK) {
        a->a_mapped_here = true;
        err = attachment_bind(a, base, h.h_object_bytes);
    }
    if (err == SM_OK) {
        err = sm_format_write(a, &h);
    }
    if (err == SM_OK) {
        /* Pairs with the reads in sm_arena_verify: READY is visible only after everything above. A crash before this
         * store leaves FORMATTING and no format lock: SM_HALF_MADE for whoever comes. */
        sm_store_rel(&a->a_header->h_state, SM_STATE_READY);
    }
    return err;
}

enum sm_err sm_arena_create(int fd, const struct sm_geometry *asked, const struct sm_runtime *rt, const char *cpu_name,
                            struct sm_arena **out) {
    struct sm_geometry g;
    struct sm_arena *a;
    bool got = false;
    uint64_t bytes = 0;
    if (sm_os_page_bytes() != SM_PAGE) {
        return SM_UNSUPPORTED;
    }
    enum sm_err err = sm_arena_geometry(asked, &g);
    if (err != SM_OK || (err = attachment_new(rt, cpu_name, &a)) != SM_OK) {
        return err;
    }
    if ((err = sm_os_reopen(fd, true, &a->a_fd)) != SM_OK ||
        (err = sm_os_byte_lock(a->a_fd, SM_LOCKBYTE_FORMAT, &got)) != SM_OK ||
        (err = sm_os_size(a->a_fd, &bytes)) != SM_OK) {
        goto fail;
    }
    if (!got || bytes != 0) {
        err = SM_EXISTS;
        goto fail;
    }
    a->a_writable = true;
    if ((err = create_formatted(a, &g)) == SM_OK) {
        err = claim(a);
    }
    if (err == SM_OK) {
        sm_os_byte_unlock(a->a_fd, SM_LOCKBYTE_FORMAT);
        *out = a;
        return SM_OK;
    }
    attachment_drop(a); /* reads the header: before the object shrinks */
    (void)sm_os_set_size(fd, 0);
    return err;
fail:
    attachment_drop(a);
    return err;
}

static enum sm_err attach(int fd, void *base, bool writable, const struct sm_runtime *rt, const char *cpu_name,
                          struct sm_arena **out) {
    struct sm_header_shm h;
    struct sm_arena *a;
    if (sm_os_page_bytes() != SM_PAGE) {
        return SM_UNSUPPORTED;
    }
    enum sm_err err = sm_arena_verify(fd, &h);
    if (err != SM_OK || (err = attachment_new(rt, cpu_name, &a)) != SM_OK) {
        return err;
    }
    if (writable && h.h_flags & SM_ARENA_DUMP) {
        attachment_drop(a);
        return SM_READ_ONLY;
    }
    a->a_live = !(h.h_flags & SM_ARENA_DUMP);
    a->a_writable = writable;
    a->a_mapped_here = base == NULL;
    if ((err = sm_os_reopen(fd, writable, &a->a_fd)) != SM_OK ||
        (base == NULL && (err = object_map(a, h.h_object_bytes, &base)) != SM_OK) ||
        (err = attachment_bind(a, base, h.h_object_bytes)) != SM_OK) {
        goto fail;
    }
    if (writable) {
        /* Without membarrier here nobody could be quiesced by us, and we by nobody: only a fenced arena will do. */
        if (!a->a_fenced && (err = barrier_there(a)) != SM_OK) {
            goto fail;
        }
        if ((err = claim(a)) != SM_OK) {
            goto fail;
        }
        if (!a->a_runtime.rt_observer) {
            (void)sm_reap(a, NULL); /* a peer that stands in the way of it now does not keep anybody from attaching */
        }
    }
    *out = a;
    return SM_OK;
fail:
    attachment_drop(a);
    return err;
}

enum sm_err sm_arena_attach(int fd, bool writable, const struct sm_runtime *rt, const char *cpu_name,
                            struct sm_arena **out) {
    return attach(fd, NULL, writable, rt, cpu_name, out);
}

enum sm_err sm_arena_attach_at(int fd, void *base, const struct sm_runtime *rt, const char *cpu_name,
                               struct sm_arena **out) {
    return attach(fd, base, true, rt, cpu_name, out);
}

#define LEAVE_ROUNDS 8

/* What this CPU has goes back, then its slot. Taking the quiesce lock may recover somebody else, whose items then pass
 * through our buckets: so it is looked at once more with the lock held. */
static enum sm_err leave(struct sm_arena *a) {
    for (int round = 0; round < LEAVE_ROUNDS; round++) {
        bool all = sm_depart_held(a);
        enum sm_err err = sm_userlock_depart(a);
        if (err != SM_OK || (err = sm_zone_flush_cpu(a, a->a_cpu_id)) != SM_OK ||
            (err = sm_quiesce_begin(a)) != SM_OK) {
            return err;
        }
        bool flushed = sm_zone_flushed(a, a->a_cpu_id);
        if (flushed && !all) {
            err = SM_UNRESOLVED; /* the slot stays taken, and is a dead CPU's when the descriptor closes */
        } else if (flushed) {
            sm_malloc_fold(a, a->a_cpu_id);
            err = sm_cpu_release(a);
        }
        sm_quiesce_end(a);
        if (flushed) {
            return err;
        }
    }
    return SM_STALLED;
}

enum sm_err sm_arena_detach(struct sm_arena *a) {
    if (a->a_cpu == &a->a_orphan) {
        return SM_OK;
    }
    /* Whatever could not be handed back stays recorded under this slot; closing the descriptor makes it a dead CPU's. */
    enum sm_err err = leave(a);
    a->a_cpu = &a->a_orphan;
    a->a_cpu_id = SM_CPU_NONE;
    a->a_epoch++;
    sm_zone_rebind(a);
    return err;
}

void sm_arena_close(struct sm_arena *a) {
    (void)sm_arena_detach(a);
    attachment_drop(a);
}

void sm_arena_after_fork(struct sm_arena *a) {
    int own = -1;
    a->a_cpu = &a->a_orphan;
    a->a_cpu_id = SM_CPU_NONE;
    a->a_epoch++;
    a->a_forked = a->a_writable;
    a->a_inside = 0;
    sm_zone_rebind(a);
    /* The inherited descriptor shares the parent's open file description: while it is open here, the parent's lock
     * byte stays locked even if the parent dies. */
    (void)sm_os_reopen(a->a_fd, a->a_writable, &own);
    sm_os_close(a->a_fd);
    a->a_fd = own;
}

/* Claims a slot if this attachment has none: the first operation in a child after fork. */
static enum sm_err ensure_cpu(struct sm_arena *a) {
    if (a->a_cpu != &a->a_orphan) {
        return SM_OK;
    }
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    if (!a->a_forked || a->a_fd < 0) {
        return SM_CLOSED;
    }
    enum sm_err err = a->a_fenced ? SM_OK : barrier_there(a);
    if (err == SM_OK && (err = sm_fault(a, SM_FP_FORK, NULL, 0, 0)) == SM_OK) {
        err = claim(a);
    }
    if (err == SM_OK) {
        a->a_forked = false;
    }
    return err;
}

void sm_arena_set_hooks(struct sm_arena *a, const struct sm_hooks *hooks) {
    if (hooks == NULL) {
        sm_arena_clear_hooks(a, ~0u);
        return;
    }
    hooks_arm(a, hooks);
    sm_zone_rebind(a); /* an armed attachment leaves the inline paths */
}

void sm_arena_clear_hooks(struct sm_arena *a, uint32_t mask) {
    a->a_hooks.h_mask &= ~(mask & ~SM_HOOK_TRACE); /* the slots stay: a thread may be on its way through one */
    sm_zone_rebind(a);
}
