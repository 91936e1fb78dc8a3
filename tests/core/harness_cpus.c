/* harness_cpus.c - threads and processes that act as CPUs of a test's arena, and the gates between them.
 * Owns the children table of struct harness. Must not signal a process that is not in it. Source: harness.h.
 */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- CPUs */

struct cpu_run { /* what a thread needs beyond what its function sees */
    struct harness_cpu r_cpu;
    harness_cpu_fn r_fn;
    pthread_t r_thread;
};

static void *run_thread(void *arg) {
    struct cpu_run *r = arg;
    pthread_barrier_wait(r->r_cpu.c_barrier);
    r->r_fn(&r->r_cpu);
    return NULL;
}

void harness_run_threads(struct harness *h, uint32_t n, harness_cpu_fn fn, void *ctx) {
    struct cpu_run *run = calloc(n, sizeof *run);
    pthread_barrier_t barrier;
    EXPECT_TRUE(run != NULL && pthread_barrier_init(&barrier, NULL, n) == 0);
    for (uint32_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "thread%u", i);
        run[i].r_cpu =
            (struct harness_cpu){h, harness_attach_shared(h, name), i, n, harness_seed_of(h, i), ctx, &barrier};
        run[i].r_fn = fn;
    }
    for (uint32_t i = 0; i < n; i++) {
        EXPECT_EQ(pthread_create(&run[i].r_thread, NULL, run_thread, &run[i]), 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        EXPECT_EQ(pthread_join(run[i].r_thread, NULL), 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        harness_close(h, run[i].r_cpu.c_arena);
    }
    pthread_barrier_destroy(&barrier);
    free(run);
}

struct process_run {
    harness_cpu_fn p_fn;
    void *p_ctx;
    uint32_t p_index, p_count;
    struct harness_gate p_go;
};

static void run_process(struct harness *h, void *ctx) {
    const struct process_run *p = ctx;
    char name[32];
    snprintf(name, sizeof name, "process%u", p->p_index);
    struct harness_cpu c = {
        h, harness_attach(h, name), p->p_index, p->p_count, harness_seed_of(h, p->p_index), p->p_ctx, NULL};
    harness_gate_wait(&p->p_go);
    p->p_fn(&c);
    harness_close(h, c.c_arena);
}

void harness_run_processes(struct harness *h, uint32_t n, harness_cpu_fn fn, void *ctx) {
    struct process_run p = {.p_fn = fn, .p_ctx = ctx, .p_count = n};
    pid_t pid[HARNESS_CHILDREN];
    EXPECT_LE(n, HARNESS_CHILDREN);
    harness_gate_init(h, &p.p_go);
    for (p.p_index = 0; p.p_index < n; p.p_index++) {
        pid[p.p_index] = harness_fork(h, run_process, &p);
    }
    for (uint32_t i = 0; i < n; i++) {
        harness_gate_post(&p.p_go);
    }
    for (uint32_t i = 0; i < n; i++) {
        harness_join(h, pid[i]);
    }
}

/* ---- processes */

pid_t harness_fork(struct harness *h, harness_child_fn fn, void *ctx) {
    uint32_t i = 0;
    while (i < HARNESS_CHILDREN && h->h_children[i] != 0) {
        i++;
    }
    EXPECT(i < HARNESS_CHILDREN, "the test has more than %d children", HARNESS_CHILDREN);
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1); /* the test ended between fork and prctl */
        }
        alarm(HARNESS_TIMEOUT_S);
        memset(h->h_children, 0, sizeof h->h_children);
        fn(h, ctx);
        fflush(NULL);
        _exit(0); /* what the child inherited belongs to the parent: no clean-up, no leak report */
    }
    h->h_children[i] = pid;
    return pid;
}

static int reap(struct harness *h, pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        EXPECT(errno == EINTR, "waitpid: %s", strerror(errno));
    }
    for (uint32_t i = 0; i < HARNESS_CHILDREN; i++) {
        if (h->h_children[i] == child) {
            h->h_children[i] = 0;
        }
    }
    return status;
}

void harness_join(struct harness *h, pid_t child) {
    int status = reap(h, child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %d ended with %s %d", (int)child,
           WIFEXITED(status) ? "status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

void harness_kill(struct harness *h, pid_t child) {
    EXPECT(kill(child, SIGKILL) == 0, "kill: %s", strerror(errno));
    (void)reap(h, child);
}

void harness_gate_init(struct harness *h, struct harness_gate *g) {
    int fd[2];
    EXPECT(pipe(fd) == 0, "pipe: %s", strerror(errno));
    g->g_read = fd[0];
    g->g_write = fd[1];
    harness_keep(h, fd[0]);
    harness_keep(h, fd[1]);
}

void harness_gate_post(const struct harness_gate *g) {
    ssize_t n;
    do {
        n = write(g->g_write, "", 1);
    } while (n < 0 && errno == EINTR);
    EXPECT(n == 1, "gate: %s", strerror(errno));
}

void harness_gate_wait(const struct harness_gate *g) {
    char c;
    ssize_t n;
    struct pollfd p = {.fd = g->g_read, .events = POLLIN};
    do {
        n = poll(&p, 1, 30000);
    } while (n < 0 && errno == EINTR);
    EXPECT(n == 1, "nobody passed the gate in 30 s");
    do {
        n = read(g->g_read, &c, 1);
    } while (n < 0 && errno == EINTR);
    EXPECT(n == 1, "gate: %s", n < 0 ? strerror(errno) : "closed");
}
