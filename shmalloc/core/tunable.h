/* tunable.h - named numbers of one arena that may be read and set while it runs. Owns the catalogue; the values are in
 * the control page. Setting is one atomic store; who uses a value reads it when it needs it.
 */
#ifndef SM_TUNABLE_H
#define SM_TUNABLE_H

#include "arena.h"

/* X(id, name, default, least, most, unit and meaning). Append only: the place in the list is the place in memory. */
#define SM_TUNABLE_LIST(X)                                                                                             \
    X(SM_TU_STALL_MS, "kern.shmalloc.stall_ms", 5000, 10, 3600000,                                                     \
      "milliseconds to wait for a live peer's lock or operation before the call fails and names it")                   \
    X(SM_TU_WSS_MS, "vm.uma.wss_ms", 20000, 10, 86400000, "milliseconds between working-set estimates of a zone")      \
    X(SM_TU_WARN_S, "vm.uma.warn_s", 300, 0, 86400, "seconds between two warnings that one zone is at its limit")      \
    X(SM_TU_BUCKET_BYTES, "vm.uma.bucket_bytes", 524288, 0, 1 << 30,                                                   \
      "bytes of items one bucket may hold; bounds the bucket size of zones with large items")                          \
    X(SM_TU_BUCKET_FIRST, "vm.uma.bucket_first", 64, 1, 128,                                                           \
      "entries of a new zone's buckets before contention grows them")                                                  \
    X(SM_TU_SPIN_US, "kern.shmalloc.spin_us", 50, 0, 10000, "microseconds a queue call spins before it sleeps")        \
    X(SM_TU_NOSLEEP, "debug.nosleepwithlocks", 0, 0, 1,                                                                \
      "1: an M_WAITOK allocation is forced to M_NOWAIT (with witness armed: only while locks are held)")               \
    X(SM_TU_FAIL_RATE, "debug.malloc.failure_rate", 0, 0, 1000000000,                                                  \
      "n: every n-th M_NOWAIT allocation fails; 0: none")                                                              \
    X(SM_TU_PUNCH_PAGES, "vm.shmalloc.punch_pages", 1, 1, 1 << 20,                                                     \
      "shortest free run, in pages, that reclaim gives back")                                                          \
    X(SM_TU_SITES, "debug.sites", 1, 0, 1000000000,                                                                    \
      "n: every n-th allocation in a traced zone records its site, process and time; 0: none")                         \
    X(SM_TU_SITE_FRAMES, "debug.site_frames", 3, 1, 8,                                                                 \
      "frames that make a site, innermost first, where the language on top can tell")

enum sm_tunable {
#define SM_TU_ENUM(id, name, dflt, least, most, text) id,
    SM_TUNABLE_LIST(SM_TU_ENUM)
#undef SM_TU_ENUM
        SM_TU_COUNT
};

struct sm_tunable_info {
    const char *ti_name, *ti_text;
    int64_t ti_default, ti_least, ti_most;
};
extern const struct sm_tunable_info sm_tunable_info[SM_TU_COUNT];

static inline int64_t sm_tunable_get(const struct sm_arena *a, enum sm_tunable t) {
    return sm_load_rlx(&a->a_ctl->ctl_tunable[t]);
}
enum sm_err sm_tunable_set(struct sm_arena *a, enum sm_tunable t, int64_t value); /* SM_INVALID out of range */
enum sm_err sm_tunable_find(const char *name, enum sm_tunable *t);
void sm_tunable_format(struct sm_arena *a);

#endif
