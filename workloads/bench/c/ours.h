/* ours.h - an anonymous arena and a zone for the benchmark programs of shmalloc. Owns the object's descriptor: the name
 * is unlinked before anything is put into it, so that no run leaves an object behind. */
#ifndef BENCH_OURS_H
#define BENCH_OURS_H

#include "harness.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shmalloc.h"

static inline int ours_object(void) {
    static unsigned serial;
    char name[64];
    snprintf(name, sizeof name, "/bench-%ld-%u", (long)getpid(), serial++);
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd >= 0) {
        shm_unlink(name);
    }
    return fd;
}

/* Bytes of the object that have memory behind them. */
static inline double ours_allocated(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 ? (double)st.st_blocks * 512.0 : NAN;
}

static inline double ours_refuse(const char *what, enum sm_err e) {
    return bench_refuse("%s: %s (%s)", what, sm_err_name(e), sm_err_text(e));
}

static inline enum sm_err ours_arena(int fd, uint64_t max_bytes, struct sm_arena **a) {
    struct sm_geometry g = {.g_max_bytes = max_bytes};
    return fd < 0 ? SM_OS : sm_arena_create(fd, &g, NULL, "bench", a);
}

static inline enum sm_err ours_zone(struct sm_arena *a, const char *name, uint64_t bytes, uint64_t prealloc,
                                    struct sm_zone **z) {
    struct sm_zone_params p = {.zp_name = name, .zp_bytes = bytes};
    enum sm_err e = sm_zone_create(a, &p, z);
    return e == SM_OK && prealloc != 0 ? sm_zone_prealloc(*z, prealloc) : e;
}

/* What a C program writes: the inline path, and the call for everything it does not do. */
static inline void *ours_alloc(struct sm_zone *z) {
    void *p = sm_cache_alloc(z);
    if (sm_unlikely(p == NULL) && sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &p) != SM_OK) {
        return NULL;
    }
    return p;
}

static inline bool ours_free(struct sm_zone *z, void *p) {
    return sm_likely(sm_cache_free(z, p)) || sm_zone_free(z, p, NULL) == SM_OK;
}

#endif
