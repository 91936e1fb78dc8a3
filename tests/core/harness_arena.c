/* harness_arena.c - the arenas, attachments and zones of a test, and counts of their items.
 * Owns the descriptor and attachment tables of struct harness. Must not create named segments. Source: harness.h.
 */
#include "harness.h"

#include <errno.h>
#include <sys/mman.h>

#include "core/keg.h"

void harness_keep(struct harness *h, int fd) {
    EXPECT(h->h_descriptor_count < HARNESS_DESCRIPTORS, "the test opens more than %d descriptors", HARNESS_DESCRIPTORS);
    h->h_descriptors[h->h_descriptor_count++] = fd;
}

int harness_memfd(struct harness *h) {
    int fd = memfd_create("shmalloc-test", MFD_CLOEXEC);
    EXPECT(fd >= 0, "memfd_create: %s", strerror(errno));
    harness_keep(h, fd);
    return fd;
}

static struct sm_arena *keep_attachment(struct harness *h, struct sm_arena *a) {
    pthread_mutex_lock(&h->h_lock);
    uint32_t i = 0;
    while (i < HARNESS_ATTACHMENTS && h->h_attached[i] != NULL) {
        i++;
    }
    EXPECT(i < HARNESS_ATTACHMENTS, "the test attaches more than %d times", HARNESS_ATTACHMENTS);
    h->h_attached[i] = a;
    pthread_mutex_unlock(&h->h_lock);
    return a;
}

struct sm_arena *harness_attach(struct harness *h, const char *name) {
    struct sm_arena *a = NULL;
    EXPECT_OK(sm_arena_attach(h->h_fd, true, NULL, name, &a));
    return keep_attachment(h, a);
}

struct sm_arena *harness_attach_shared(struct harness *h, const char *name) {
    struct sm_arena *a = NULL;
    int fd = -1;
    EXPECT_OK(sm_os_reopen(h->h_fd, true, &fd));
    EXPECT_OK(sm_arena_attach_at(fd, h->h_arena->a_base, NULL, name, &a));
    sm_os_close(fd);
    return keep_attachment(h, a);
}

void harness_close(struct harness *h, struct sm_arena *a) {
    pthread_mutex_lock(&h->h_lock);
    for (uint32_t i = 0; i < HARNESS_ATTACHMENTS; i++) {
        if (h->h_attached[i] == a) {
            h->h_attached[i] = NULL;
        }
    }
    pthread_mutex_unlock(&h->h_lock);
    EXPECT_OK(sm_arena_detach(a));
    sm_arena_close(a);
}

struct census_walk {
    const struct sm_arena *w_arena;
    struct harness_census w_census;
    uint32_t w_zone;
};

static int census_slab(const struct sm_slab_ref *s, void *ctx) {
    struct census_walk *w = ctx;
    w->w_census.hc_slabs++;
    for (uint32_t i = 0; i < w->w_arena->a_kegs[s->sr_keg].k_items; i++) {
        uint64_t st = sm_load_rlx(&s->sr_words[i]);
        if (SM_ST_KIND(st) < SM_KIND_END && (w->w_zone == UINT32_MAX || SM_ST_ZONE(st) == w->w_zone)) {
            w->w_census.hc_kind[SM_ST_KIND(st)]++;
        }
    }
    return 0;
}

struct harness_census harness_census_zone(struct sm_arena *a, uint32_t zone) {
    struct census_walk w = {.w_arena = a, .w_zone = zone};
    EXPECT_EQ(sm_slab_each(a, 0, census_slab, &w), 0);
    return w.w_census;
}

struct harness_census harness_census(struct sm_arena *a) {
    return harness_census_zone(a, UINT32_MAX);
}

static void print_finding(void *ctx, const struct sm_finding *f) {
    (void)ctx;
    fprintf(stderr, "  finding I%u: %s\n", f->f_invariant, f->f_detail);
}

static void count_only(void *ctx, const struct sm_finding *f) {
    (void)ctx;
    (void)f;
}

uint64_t harness_findings(struct sm_arena *a, bool print) {
    struct sm_check_result r;
    EXPECT_OK(sm_check(a, 8, print ? print_finding : count_only, NULL, &r));
    return r.cr_findings;
}

struct sm_zone *harness_zone(struct sm_arena *a, const char *name, uint64_t bytes, uint32_t flags) {
    struct sm_zone_params p = {.zp_name = name, .zp_bytes = bytes, .zp_flags = flags};
    struct sm_zone *z = NULL;
    EXPECT_OK(sm_zone_create(a, &p, &z));
    return z;
}

struct sm_zone *harness_open_zone(struct sm_arena *a, const char *name) {
    struct sm_zone *z = NULL;
    EXPECT_OK(sm_zone_open(a, name, NULL, &z));
    return z;
}
