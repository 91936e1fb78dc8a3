/* harness.c - runs the registered tests, each in a child process with an alarm, and looks over what it left behind.
 * Owns the list of tests. Must not touch any process that it did not start. Source: harness.h.
 */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct harness_test *first_test, **next_test = &first_test;
static struct harness current;
static const char *program;

void harness_register(struct harness_test *t) {
    *next_test = t;
    next_test = &t->t_next;
}

_Noreturn void harness_fail(const char *file, int line, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fflush(stdout);
    fprintf(stderr, "%s:%d: in %s: %s\n  replay: HARNESS_SEED=0x%llx %s %s\n", file, line, current.h_name, text,
            (unsigned long long)current.h_seed, program, current.h_name);
    fflush(stderr);
    _exit(1); /* no leak report on top of the failure */
}

/* ---- randomness: splitmix64 (Steele, Lea, Flood 2014) */

uint64_t harness_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t harness_seed_of(const struct harness *h, uint32_t i) {
    uint64_t s = h->h_seed + ((uint64_t)i + 1) * 0xd1342543de82ef95ull;
    return harness_random(&s);
}

/* ---- running */

static void look_over(struct harness *h) {
    for (uint32_t i = 0; i < HARNESS_CHILDREN; i++) {
        if (h->h_children[i] != 0) {
            harness_kill(h, h->h_children[i]);
        }
    }
    for (uint32_t i = 0; i < HARNESS_ATTACHMENTS; i++) {
        if (h->h_attached[i] != NULL) {
            harness_close(h, h->h_attached[i]);
        }
    }
    if (h->h_arena != NULL) {
        if (!h->h_may_leave_items) {
            struct harness_census c = harness_census(h->h_arena);
            for (int kind = SM_CONSTRUCTING; kind < SM_KIND_END; kind++) {
                /* ATTACHED to what is cached is fine; to nothing is a finding; to what is out, that one is counted. */
                EXPECT(kind == SM_ATTACHED || c.hc_kind[kind] == 0, "the test left %llu items in state %d",
                       (unsigned long long)c.hc_kind[kind], kind);
            }
        }
        if (!h->h_may_leave_findings) {
            EXPECT(harness_findings(h->h_arena, true) == 0, "sm_check has findings after the test");
            EXPECT_OK(sm_arena_detach(h->h_arena));
        }
        sm_arena_close(h->h_arena);
    }
    for (uint32_t i = 0; i < h->h_descriptor_count; i++) {
        close(h->h_descriptors[i]);
    }
}

static void run_one(const struct harness_test *t) {
    struct harness *h = &current;
    h->h_random = h->h_seed;
    h->h_geometry = t->t_geometry;
    h->h_fd = -1;
    EXPECT_EQ(pthread_mutex_init(&h->h_lock, NULL), 0);
    if (!t->t_bare) {
        h->h_fd = harness_memfd(h);
        EXPECT_OK(sm_arena_create(h->h_fd, &h->h_geometry, NULL, "test", &h->h_arena));
    }
    t->t_fn(h);
    look_over(h);
}

static uint64_t chosen_seed(void) {
    const char *given = getenv("HARNESS_SEED");
    return given != NULL ? strtoull(given, NULL, 0) : sm_os_random();
}

static bool run_in_child(const struct harness_test *t, unsigned timeout_s) {
    int64_t start = sm_os_now_ns();
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        return false;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(timeout_s);
        run_one(t);
        exit(0); /* runs the leak check of the address sanitizer */
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s %s (%lld ms)", ok ? "ok  " : "FAIL", t->t_name, (long long)((sm_os_now_ns() - start) / 1000000));
    if (WIFSIGNALED(status)) {
        printf(": ended by signal %d%s", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? " (timeout)" : "");
    }
    if (!ok) {
        printf(" replay: HARNESS_SEED=0x%llx", (unsigned long long)current.h_seed);
    }
    printf("\n");
    return ok;
}

int main(int argc, char **argv) {
    program = argv[0];
    bool list = argc > 1 && strcmp(argv[1], "-l") == 0;
    const char *filter = argc > 1 && !list ? argv[1] : "";
    const char *limit = getenv("HARNESS_TIMEOUT");
    unsigned timeout_s = limit != NULL ? (unsigned)strtoul(limit, NULL, 0) : HARNESS_TIMEOUT_S;
    unsigned ran = 0, failed = 0;
    current.h_seed = chosen_seed();
    if (!list) {
        printf("seed 0x%llx\n", (unsigned long long)current.h_seed);
    }
    for (const struct harness_test *t = first_test; t != NULL; t = t->t_next) {
        if (strstr(t->t_name, filter) == NULL) {
            continue;
        }
        ran++;
        current.h_name = t->t_name;
        if (list) {
            printf("%s\n", t->t_name);
        } else if (getenv("HARNESS_NOFORK") != NULL) {
            run_one(t);
        } else if (!run_in_child(t, timeout_s)) {
            failed++;
        }
    }
    if (!list) {
        printf("%u tests, %u failed\n", ran, failed);
    }
    return ran == 0 || failed != 0;
}
