/* world.c - the object a sweep starts from, copies of it, and who is alive on a copy. Owns struct prove_world.
 * Must not run anything under ptrace. Source: prove.h.
 */
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callbacks.h"
#include "core/layout_mbuf.h"

static const struct sm_geometry geometry = {
    .g_max_bytes = 1 << 20,
    .g_max_cpus = 5,
    .g_max_zones = 6,
    .g_max_queues = 2,
    .g_max_types = 2,
    .g_max_buckets = 31, /* 64 KiB: one step of the bucket region */
    .g_max_events = 8,
    .g_max_sites = 4,
};

/* ---------------------------------------------------------------- zones of a world */

struct sm_zone *prove_zone(struct prove_cpu *c, uint32_t at, const struct sm_zone_params *p, uint64_t limit) {
    uint64_t effective;
    MUST_OK(sm_zone_create(c->c_arena, p, &c->c_zone[at]));
    if (limit != 0) {
        MUST_OK(sm_zone_set_max(c->c_zone[at], limit, &effective));
    }
    return c->c_zone[at];
}

/* The first zones, the first queue and the first type of the arena, as far as there are any. */
void prove_open_zones(struct prove_cpu *c) {
    struct sm_arena *a = c->c_arena;
    for (uint32_t i = 0; i < PROVE_ZONES && i < a->a_ctl->ctl_zones; i++) {
        if (a->a_zones[i].z_state == SM_ZONE_LIVE) {
            MUST_OK(sm_zone_by_id(a, i, &c->c_zone[i]));
        }
    }
    if (a->a_ctl->ctl_queues > 0 && a->a_queues[0].q_state == SM_ZONE_LIVE) {
        MUST_OK(sm_queue_open(a, a->a_queues[0].q_name, 0, &c->c_queue));
    }
}

void *prove_alloc(struct prove_cpu *c, uint32_t zone) {
    void *item;
    MUST_OK(sm_zone_alloc(c->c_zone[zone], SM_M_NOWAIT, NULL, 0, &item));
    return item;
}

void prove_hold(struct prove_cpu *survivor, uint32_t zone, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        MUST(survivor->c_items < PROVE_ITEMS);
        void *item = prove_alloc(survivor, zone);
        memset(item, (int)(0x40 + survivor->c_items), survivor->c_zone[zone]->z_item_bytes);
        survivor->c_item_zone[survivor->c_items] = survivor->c_zone[zone];
        survivor->c_item[survivor->c_items++] = item;
    }
}

/* ---------------------------------------------------------------- images */

uint32_t prove_ranges(struct prove_world *w, const uint8_t *object, struct prove_range out[8]) {
    const struct sm_arena *a = w->w_survivor.c_arena;
    const struct sm_region_shm *r = a->a_header->h_region;
    const struct sm_control_shm *ctl = (const void *)(object + r[SM_R_CONTROL].r_off);
    uint64_t meta = ctl->ctl_meta_frontier << SM_PAGE_SHIFT, data = ctl->ctl_frontier << SM_PAGE_SHIFT;
    meta = meta < r[SM_R_META].r_bytes ? meta : r[SM_R_META].r_bytes;
    data = data < r[SM_R_DATA].r_bytes ? data : r[SM_R_DATA].r_bytes;
    w->w_meta_high = meta > w->w_meta_high ? meta : w->w_meta_high;
    w->w_data_high = data > w->w_data_high ? data : w->w_data_high;
    out[0] = (struct prove_range){0, r[SM_R_EXTRA].r_off};
    out[1] = (struct prove_range){r[SM_R_PAGEDIR].r_off, r[SM_R_META].r_off - r[SM_R_PAGEDIR].r_off};
    out[2] = (struct prove_range){r[SM_R_META].r_off, w->w_meta_high};
    out[3] = (struct prove_range){r[SM_R_DATA].r_off, w->w_data_high};
    uint64_t extra = ctl->ctl_extra_next < r[SM_R_EXTRA].r_bytes ? ctl->ctl_extra_next : r[SM_R_EXTRA].r_bytes;
    w->w_extra_high = extra > w->w_extra_high ? extra : w->w_extra_high;
    out[4] = (struct prove_range){r[SM_R_EXTRA].r_off, w->w_extra_high};
    return 5;
}

bool prove_differs(struct prove_world *w, const uint8_t *object, const uint8_t *seen) {
    struct prove_range g[8];
    for (uint32_t i = 0, n = prove_ranges(w, object, g); i < n; i++) {
        if (memcmp(object + g[i].g_off, seen + g[i].g_off, g[i].g_bytes) != 0) {
            return true;
        }
    }
    return false;
}

void prove_copy(struct prove_world *w, uint8_t *to, const uint8_t *from) {
    struct prove_range g[8];
    (void)prove_ranges(w, to, g);
    for (uint32_t i = 0, n = prove_ranges(w, from, g); i < n; i++) {
        for (uint64_t off = g[i].g_off; off < g[i].g_off + g[i].g_bytes; off += SM_PAGE) {
            if (memcmp(to + off, from + off, SM_PAGE) != 0) {
                memcpy(to + off, from + off, SM_PAGE);
            }
        }
    }
}

/* What the kernel does to the robust locks of a thread that dies (robust_list(2)). */
static void die_holding(struct sm_lock_shm *l, pid_t dead) {
    uint32_t *word = (uint32_t *)(void *)&l->l_mutex.m.__data.__lock;
    if (dead != 0 && (*word & FUTEX_TID_MASK) == (uint32_t)dead) {
        *word = (*word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    }
}

void prove_restore(struct prove_world *w, const uint8_t *image, pid_t dead) {
    struct sm_arena *a = w->w_survivor.c_arena;
    prove_copy(w, a->a_base, image);
    die_holding(&a->a_ctl->ctl_quiesce, dead);
    die_holding(&a->a_ctl->ctl_admin, dead);
    die_holding(&a->a_ctl->ctl_page, dead);
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        die_holding(&a->a_kegs[i].k_lock, dead);
    }
    for (uint32_t i = 0; a->a_ctl->ctl_mbuf != 0 && i < SM_SOCKBUFS; i++) {
        struct sm_mb_shm *mb = sm_at(a, a->a_ctl->ctl_mbuf);
        if (mb->mb_sockbuf[i].sb_gen != 0) {
            die_holding(&mb->mb_sockbuf[i].sb_lock, dead);
        }
    }
}

void prove_object_new(struct prove_world *w, const uint8_t *image, struct prove_object *b) {
    bool got;
    b->b_fd = memfd_create("shmalloc-prove", MFD_CLOEXEC);
    MUST(b->b_fd >= 0 && ftruncate(b->b_fd, (off_t)w->w_bytes) == 0);
    b->b_map = mmap(NULL, w->w_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, b->b_fd, 0);
    MUST(b->b_map != MAP_FAILED);
    prove_copy(w, b->b_map, image);
    MUST_OK(sm_os_reopen(b->b_fd, true, &b->b_keeper));
    for (uint32_t i = 0; i < w->w_cpus; i++) {
        MUST_OK(sm_os_byte_lock(b->b_keeper, SM_LOCKBYTE_CPU(i), &got));
        MUST(got);
    }
}

void prove_object_drop(struct prove_world *w, struct prove_object *b) {
    munmap(b->b_map, w->w_bytes);
    close(b->b_keeper);
    close(b->b_fd);
}

/* ---------------------------------------------------------------- worlds */

/* The peer's part is over when it says so through the pipe, or when it sleeps at a zone's limit or at a queue. */
static bool peer_sleeps(const struct sm_arena *a, pid_t pid) {
    bool waits = a->a_cpus[1].cpu_wait[0] != 0;
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        waits = waits || a->a_kegs[i].k_waiters != 0;
    }
    return waits && sm_load_acq(&a->a_cpus[1].cpu_op) == 0 && prove_asleep(pid);
}

static void peer_start(struct prove_world *w) {
    struct sm_arena *a = w->w_survivor.c_arena;
    int ready[2], status;
    MUST(pipe(ready) == 0);
    w->w_peer = fork();
    MUST(w->w_peer >= 0);
    if (w->w_peer == 0) {
        struct prove_cpu peer = {.c_fd = w->w_survivor.c_fd};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        MUST_OK(sm_arena_attach(peer.c_fd, true, NULL, "peer", &peer.c_arena));
        prove_open_zones(&peer);
        callback_stop_fd = ready[1];
        w->w_op->o_peer(&peer);
        MUST(write(ready[1], "", 1) == 1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    int64_t deadline = sm_os_now_ns() + 5000000000ll;
    w->w_peer_done = ready[0];
    struct pollfd done = {.fd = ready[0], .events = POLLIN};
    while (poll(&done, 1, 0) != 1 && !peer_sleeps(a, w->w_peer)) {
        MUST(sm_os_now_ns() < deadline && waitpid(w->w_peer, &status, WNOHANG) == 0);
        sm_os_yield();
    }
    MUST(kill(w->w_peer, SIGSTOP) == 0 && waitpid(w->w_peer, &status, WUNTRACED) == w->w_peer && WIFSTOPPED(status));
}

void prove_world_open(struct prove_world *w, const struct prove_op *op) {
    *w = (struct prove_world){.w_op = op, .w_cpus = 1};
    int fd = memfd_create("shmalloc-prove", MFD_CLOEXEC);
    MUST(fd >= 0);
    w->w_survivor.c_fd = fd;
    struct sm_geometry g = geometry;
    if (op->o_flags & PROVE_MBUFS) {
        g.g_max_zones = 16;
        g.g_max_bytes = 4 << 20;
    }
    MUST_OK(sm_arena_create(fd, &g, NULL, "survivor", &w->w_survivor.c_arena));
    w->w_bytes = w->w_survivor.c_arena->a_bytes;
    /* A world is small and short: pages given back are swept by the operations that say so, and nobody spins long. */
    MUST_OK(sm_tunable_set(w->w_survivor.c_arena, SM_TU_PUNCH_PAGES, 1 << 20));
    MUST_OK(sm_tunable_set(w->w_survivor.c_arena, SM_TU_SPIN_US, 0));
    if (op->o_world) {
        op->o_world(&w->w_survivor);
    }
    if (op->o_peer) {
        peer_start(w);
        w->w_cpus = 2;
    }
    w->w_image = mmap(NULL, w->w_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(w->w_image != MAP_FAILED);
    prove_copy(w, w->w_image, w->w_survivor.c_arena->a_base);
}

void prove_world_close(struct prove_world *w) {
    if (w->w_peer != 0) {
        prove_kill(w->w_peer);
        close(w->w_peer_done);
    }
    prove_restore(w, w->w_image, 0);
    sm_arena_close(w->w_survivor.c_arena);
    close(w->w_survivor.c_fd);
    munmap(w->w_image, w->w_bytes);
}
