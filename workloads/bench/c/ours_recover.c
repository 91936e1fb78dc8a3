/* ours_recover.c - how long a death is felt. Four processes share an arena: the keeper (this one) holds the live items and
 * is the supervisor of the others, a victim holds HELD more, a waiter is blocked in M_WAITOK at the zone's limit, and a
 * hammer allocates and frees in another zone. The victim is killed; measured are the time until the waiter's allocation
 * returns, and the hammer's longest pause until then. One measurement is KILLS deaths. Takes no lock.
 *
 * The keeper detects the death as every supervisor does: it waits for its child. In the cases "alone" it does not look, and
 * the sleeper finds the death by itself.
 */
#include "ours.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define HELD 1000u
#define KILLS 25
#define RECOVER_ITEM_BYTES 256
#define CHUNK 64u
#define PATIENCE_NS 10e9

enum stage { STAGE_IDLE, STAGE_BLOCKING, STAGE_RETURNED, STAGE_FAILED };

struct stage_page {
    uint64_t sp_round; /* the waiter's turn: it blocks once for each */
    uint64_t sp_stage; /* enum stage, of the waiter */
    double sp_returned; /* when its allocation returned */
    uint64_t sp_ready; /* the victim holds its items */
    uint64_t sp_window; /* grows when the hammer is to tell its longest pause, and to forget it */
    uint64_t sp_seen; /* the hammer's copy of it */
    double sp_pause; /* its longest pause in the window before */
    uint64_t sp_over;
};

struct recover_result {
    uint64_t r_live;
    double r_wait[KILLS], r_pause[KILLS]; /* sorted, nanoseconds */
};

static struct stage_page *page;
static int object = -1;
static struct recover_result result;
static bool supervised = true;

static bool wait_for(const uint64_t *word, uint64_t value) {
    double give_up = bench_now_ns() + PATIENCE_NS;
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < value) {
        if (bench_now_ns() > give_up || __atomic_load_n(&page->sp_over, __ATOMIC_RELAXED)) {
            return false;
        }
        usleep(20); /* off the core: it may be the one that has to do the work */
    }
    return true;
}

static enum sm_err join(const char *name, const char *zone_name, int core, struct sm_arena **a, struct sm_zone **z) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_pin(bench_core[core]);
    enum sm_err e = sm_arena_attach(object, true, NULL, name, a);
    return e == SM_OK ? sm_zone_open(*a, zone_name, NULL, z) : e;
}

static void be_victim(void) {
    struct sm_arena *a;
    struct sm_zone *z;
    void *item[HELD];
    uint32_t got = 0;
    enum sm_err e = join("victim", "items", 0, &a, &z);
    if (e == SM_OK) {
        e = sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, HELD, item, &got);
    }
    __atomic_store_n(&page->sp_ready, e == SM_OK && got == HELD ? 1 : 2, __ATOMIC_RELEASE);
    for (;;) {
        pause();
    }
}

static void be_waiter(void) {
    struct sm_arena *a;
    struct sm_zone *z;
    enum sm_err e = join("waiter", "items", 0, &a, &z);
    for (uint64_t round = 1; e == SM_OK && wait_for(&page->sp_round, round); round++) {
        void *p;
        __atomic_store_n(&page->sp_stage, STAGE_BLOCKING, __ATOMIC_RELEASE);
        e = sm_zone_alloc(z, SM_M_WAITOK, NULL, (int64_t)PATIENCE_NS, &p);
        page->sp_returned = bench_now_ns();
        if (e == SM_OK) {
            e = sm_zone_free(z, p, NULL);
        }
        __atomic_store_n(&page->sp_stage, e == SM_OK ? STAGE_RETURNED : STAGE_FAILED, __ATOMIC_RELEASE);
    }
    _exit(e == SM_OK ? 0 : 1);
}

static void be_hammer(void) {
    struct sm_arena *a;
    struct sm_zone *z;
    enum sm_err e = join("hammer", "hammered", 1, &a, &z);
    double last = bench_now_ns(), longest = 0;
    while (e == SM_OK && !__atomic_load_n(&page->sp_over, __ATOMIC_RELAXED)) {
        void *p = ours_alloc(z);
        bench_use(p);
        if (p == NULL || !ours_free(z, p)) {
            _exit(1);
        }
        double now = bench_now_ns();
        longest = now - last > longest ? now - last : longest;
        last = now;
        uint64_t window = __atomic_load_n(&page->sp_window, __ATOMIC_ACQUIRE);
        if (window != page->sp_seen) {
            page->sp_pause = longest;
            longest = 0;
            __atomic_store_n(&page->sp_seen, window, __ATOMIC_RELEASE);
        }
    }
    _exit(0);
}

static pid_t start(void (*be)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        be();
    }
    return pid;
}

static void end(pid_t pid) {
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* The waiter sleeps: its state in /proc, since nothing in the arena says that a futex has been entered. */
static bool asleep(pid_t pid) {
    char path[64], line[256] = "";
    double give_up = bench_now_ns() + PATIENCE_NS;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    while (bench_now_ns() < give_up) {
        FILE *f = fopen(path, "r");
        const char *after = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        if (f) {
            fclose(f);
        }
        if (after && after[2] == 'S') {
            return true;
        }
        usleep(50);
    }
    return false;
}

static bool next_window(void) {
    __atomic_add_fetch(&page->sp_window, 1, __ATOMIC_RELEASE);
    return wait_for(&page->sp_seen, page->sp_window);
}

static bool one_death(struct sm_arena *a, uint32_t zone_id, pid_t waiter, int k) {
    struct sm_reap_report report;
    siginfo_t info;
    page->sp_ready = 0;
    page->sp_stage = STAGE_IDLE;
    pid_t victim = start(be_victim);
    bool good = victim > 0 && wait_for(&page->sp_ready, 1) && page->sp_ready == 1;
    __atomic_add_fetch(&page->sp_round, 1, __ATOMIC_RELEASE);
    good = good && wait_for(&page->sp_stage, STAGE_BLOCKING);
    /* Awake while it drains its peers' buckets, asleep for good when it counts as a waiter and does not run. */
    struct sm_zone_stats zs;
    double give_up = bench_now_ns() + PATIENCE_NS;
    do {
        good = good && asleep(waiter) && sm_stats_zone(a, zone_id, &zs) == SM_OK && bench_now_ns() < give_up;
    } while (good && zs.zs_waiters == 0);
    usleep(1000);
    good = good && next_window();
    double t = bench_now_ns();
    kill(victim, SIGKILL);
    enum sm_err e = SM_OK;
    if (supervised) {
        waitid(P_PID, (id_t)victim, &info, WEXITED | WNOWAIT);
        e = sm_reap(a, &report);
    }
    waitpid(victim, NULL, 0);
    /* No dead CPU found: the sleeper was first. */
    if (!good || e != SM_OK || (supervised && report.rr_cpus > 0 && report.rr_freed != HELD)) {
        bench_refuse("a death with %u items: %s, %llu freed", HELD, sm_err_name(e),
                     (unsigned long long)report.rr_freed);
        return false;
    }
    if (!wait_for(&page->sp_stage, STAGE_RETURNED) || page->sp_stage != STAGE_RETURNED) {
        bench_refuse("the blocked allocation did not return");
        return false;
    }
    if (!next_window()) {
        bench_refuse("the busy survivor is stuck");
        return false;
    }
    result.r_wait[k] = page->sp_returned - t;
    result.r_pause[k] = page->sp_pause;
    return true;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* live items, rounded up to whole slabs, and room for HELD more that the zone may not exceed. */
static enum sm_err fill(struct sm_zone *z, uint64_t live, uint64_t *held) {
    uint64_t most;
    void *item[CHUNK];
    uint32_t got = 0;
    enum sm_err e = sm_zone_set_max(z, live + HELD, &most);
    for (*held = 0; e == SM_OK && *held + HELD < most; *held += got) {
        uint64_t left = most - HELD - *held;
        e = sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, left < CHUNK ? (uint32_t)left : CHUNK, item, &got);
    }
    return e;
}

static bool measure(uint64_t live) {
    struct sm_arena *a = NULL;
    struct sm_zone *z = NULL;
    uint64_t held = 0;
    result.r_live = 0;
    object = ours_object();
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    enum sm_err e = ours_arena(object, live * RECOVER_ITEM_BYTES * 2 + (64u << 20), &a);
    if (e == SM_OK) {
        e = ours_zone(a, "hammered", BENCH_ITEM_BYTES, 0, &z);
    }
    if (e == SM_OK) {
        e = ours_zone(a, "items", RECOVER_ITEM_BYTES, 0, &z);
    }
    if (e == SM_OK) {
        e = fill(z, live, &held);
    }
    bool good = e == SM_OK && page != MAP_FAILED;
    if (!good) {
        ours_refuse("live items", e);
    }
    pid_t waiter = good ? start(be_waiter) : -1, hammer = good ? start(be_hammer) : -1;
    for (int k = 0; good && k < KILLS; k++) {
        good = one_death(a, z->z_id, waiter, k);
    }
    page->sp_over = 1;
    end(waiter);
    end(hammer);
    if (a) {
        sm_arena_close(a);
    }
    close(object);
    munmap(page, sizeof *page);
    qsort(result.r_wait, KILLS, sizeof(double), ascending);
    qsort(result.r_pause, KILLS, sizeof(double), ascending);
    result.r_live = good ? live : 0;
    return good;
}

/* The first question about a number of live items measures, the others are answered from the same deaths. */
static double answer(uint64_t live, bool anew, const double *sorted, double fraction) {
    if (anew ? !measure(live) : result.r_live != live) {
        return anew ? NAN : bench_refuse("asked before the median of the same live items");
    }
    int place = (int)ceil(fraction * KILLS) - 1;
    return sorted[place < 0 ? 0 : place] / 1e3;
}

#define RECOVER_CASES(name, live)                                                                                      \
    static double name##_wait_p50(void) {                                                                              \
        return answer(live, true, result.r_wait, 0.5);                                                                 \
    }                                                                                                                  \
    static double name##_wait_p99(void) {                                                                              \
        return answer(live, false, result.r_wait, 0.99);                                                               \
    }                                                                                                                  \
    static double name##_pause_p50(void) {                                                                             \
        return answer(live, false, result.r_pause, 0.5);                                                               \
    }                                                                                                                  \
    static double name##_pause_p99(void) {                                                                             \
        return answer(live, false, result.r_pause, 0.99);                                                              \
    }
RECOVER_CASES(k1, 1000)
RECOVER_CASES(k10, 10000)
RECOVER_CASES(k100, 100000)
RECOVER_CASES(m1, 1000000)

/* The keeper does not look: the waiter finds the death by itself. */
static double alone_wait_p50(void) {
    supervised = false;
    double value = answer(100000, true, result.r_wait, 0.5);
    supervised = true;
    return value;
}
static double alone_wait_p99(void) {
    return answer(100000, false, result.r_wait, 0.99);
}

#define RECOVER_ROWS(name)                                                                                             \
    {#name "_wait_p50", name##_wait_p50}, {#name "_wait_p99", name##_wait_p99},                                        \
        {#name "_pause_p50", name##_pause_p50}, {                                                                      \
        #name "_pause_p99", name##_pause_p99                                                                           \
    }

static const struct bench_case cases[] = {RECOVER_ROWS(k1),
                                          RECOVER_ROWS(k10),
                                          RECOVER_ROWS(k100),
                                          RECOVER_ROWS(m1),
                                          {"alone_wait_p50", alone_wait_p50},
                                          {"alone_wait_p99", alone_wait_p99}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    return BENCH_SERVE(cases);
}
