/* thread.c - thread slots of a block: claimed by the first event of a thread, given back when it ends, swept when it was
 * killed. Takes no lock; the sweep writes reports.
 *
 * Crash windows: a slot whose thread was killed names it until somebody sweeps; nobody waits for it. A sweeper that is
 * killed leaves the slot claimed by itself, for the next sweep.
 */
#define _GNU_SOURCE
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "class.h"
#include "report.h"

__thread struct w_local w_local;
uint32_t w_thread_epoch = 1;

uint64_t w_thread_who(void) {
    return (uint64_t)(uint32_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
}

void w_thread_name(char out[W_THREAD_BYTES]) {
    memset(out, 0, W_THREAD_BYTES);
    if (prctl(PR_GET_NAME, out, 0, 0, 0) != 0) {
        out[0] = 0;
    }
    out[W_THREAD_BYTES - 1] = 0;
}

static void child_after_fork(void) {
    w_thread_epoch++; /* alone in the child: nobody else is there to see it change */
}

static struct w_thread_shm *slot_find(const struct w_block *b, uint64_t who) {
    for (uint32_t i = 0; i < b->b_max_threads; i++) {
        if (sm_load_rlx(&b->b_threads[i].t_owner) == who) {
            return &b->b_threads[i];
        }
    }
    return NULL;
}

struct w_thread_shm *w_thread_take(struct w_block *b, uint64_t who, const char name[W_THREAD_BYTES]) {
    for (uint32_t i = 0; i < b->b_max_threads; i++) {
        uint64_t nobody = 0;
        struct w_thread_shm *t = &b->b_threads[i];
        if (sm_load_rlx(&t->t_owner) == 0 && sm_cas(&t->t_owner, &nobody, who)) {
            uint32_t high = sm_load_rlx(&b->b_header->h_thread_high);
            while (high <= i && !sm_cas(&b->b_header->h_thread_high, &high, i + 1)) {
            }
            sm_store_rlx(&t->t_namespace, b->b_namespace);
            sm_store_rlx(&t->t_wait_class, W_NO_CLASS);
            sm_store_rlx(&t->t_given, 0);
            sm_store_rel(&t->t_count, 0);
            memcpy(t->t_name, name, sizeof t->t_name);
            return t;
        }
    }
    return NULL;
}

struct w_thread_shm *w_thread_claim(struct w_block *b) {
    uint64_t who = w_thread_who();
    struct w_thread_shm *t = slot_find(b, who);
    if (w_local.l_epoch != w_thread_epoch) {
        w_local.l_busy = 0; /* what the forking thread was doing in its parent */
        w_thread_title(b, NULL);
    }
    if (t == NULL) {
        char name[W_THREAD_BYTES];
        w_thread_name(name);
        t = w_thread_take(b, who, name);
        if (t == NULL && w_thread_sweep(b) != 0) {
            t = w_thread_take(b, who, name);
        }
    }
    if (t == NULL) {
        (void)sm_add_rlx(&b->b_header->h_lost, 1);
    }
    w_local.l_serial = b->b_serial;
    w_local.l_epoch = w_thread_epoch;
    w_local.l_slot = t;
    w_local.l_who = who;
    pthread_setspecific(b->b_key, t);
    return t;
}

/* This process's entry; made if there is room. */
static struct w_process_shm *process_self(struct w_block *b) {
    uint32_t pid = (uint32_t)getpid();
    for (uint32_t i = 0; i < b->b_max_processes; i++) {
        if (sm_load_rlx(&b->b_processes[i].p_pid) == pid) {
            return &b->b_processes[i];
        }
    }
    for (uint32_t i = 0; i < b->b_max_processes; i++) {
        uint32_t nobody = 0;
        struct w_process_shm *p = &b->b_processes[i];
        if (sm_cas(&p->p_pid, &nobody, pid)) {
            p->p_started_ns = w_wall_ns();
            p->p_parent = (uint32_t)getppid();
            memset(p->p_name, 0, sizeof p->p_name);
            return p;
        }
    }
    return NULL;
}

void w_thread_title(struct w_block *b, const char *name) {
    char comm[W_THREAD_BYTES];
    struct w_process_shm *p = process_self(b);
    if (p != NULL && (name != NULL || p->p_name[0] == 0)) {
        w_thread_name(comm);
        snprintf(p->p_name, sizeof p->p_name, "%s", name ? name : comm);
    }
}

void w_thread_seat(struct w_block *b, uint32_t cpu) {
    struct w_process_shm *p = process_self(b);
    if (p != NULL) {
        sm_store_rlx(&p->p_cpu, cpu + 1);
    }
}

static void atfork_once(void) {
    (void)pthread_atfork(NULL, NULL, child_after_fork);
}

void w_thread_enter(struct w_block *b) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, atfork_once);
    w_thread_title(b, NULL);
}

/* What a thread that goes still holds, but for the allocator's own locks, whose holder recovery looks after; for those that
 * the kernel or another process gave back; and for its process's own ones if the process goes with it. What a task holds
 * nobody else waits for once its process is gone. */
static void tell_held(struct w_block *b, const struct w_thread_shm *t, uint64_t who, bool process, const char *what) {
    uint32_t untold = W_CORE | W_SIGNAL | W_FILE | (process ? W_PRIVATE : 0);
    for (uint32_t i = 0, n = who & W_TASK ? 0 : w_held_count(t); i < n; i++) {
        const struct w_held_shm *d = &t->t_held[i];
        if (!(w_class_flags(b, d->d_class) & untold) && !w_given_is(t, d)) {
            w_report_misuse_of(b, what, d->d_class, d->d_instance, d->d_mode, d->d_stack, t->t_name, who);
        }
    }
}

#define ENDED "thread ended with a lock held"

static void slot_free(struct w_thread_shm *t) {
    sm_store_rlx(&t->t_count, 0);
    sm_store_rlx(&t->t_given, 0);
    sm_store_rlx(&t->t_wait_class, W_NO_CLASS);
    sm_store_rel(&t->t_owner, 0);
}

/* The block is found through the serial: a thread ends while its block lives, or the key is gone. */
void w_thread_exit(void *slot) {
    struct w_thread_shm *t = slot;
    uint64_t who = w_thread_who();
    if (t != NULL && sm_load_rlx(&t->t_owner) == who) {
        if (w_held_count(t) != 0) {
            return; /* found by the next sweep: this thread will be gone, and is told of as such */
        }
        slot_free(t);
    }
}

static bool gone(const struct w_block *b, const struct w_thread_shm *t, uint64_t who) {
    return who != 0 && sm_load_rlx(&t->t_namespace) == b->b_namespace &&
           syscall(SYS_tgkill, (pid_t)(who >> 32), (pid_t)(who & W_TASK ? who >> 32 : (uint32_t)who), 0) != 0 &&
           errno == ESRCH;
}

void w_thread_leave(struct w_block *b) {
    uint64_t pid = (uint32_t)getpid(), self = w_thread_who();
    for (uint32_t i = 0; i < b->b_max_threads; i++) {
        struct w_thread_shm *t = &b->b_threads[i];
        uint64_t who = sm_load_rlx(&t->t_owner);
        if (who >> 32 == pid) {
            bool ended = who != self && gone(b, t, who);
            /* Other threads that still run go with the process, wherever they are: they may hold what is its own. */
            tell_held(b, t, who, who != self && !ended, ended ? ENDED : "exit with a lock held");
            slot_free(t);
        }
    }
}

uint32_t w_thread_sweep(struct w_block *b) {
    uint32_t swept = 0;
    for (uint32_t i = 0; i < b->b_max_threads; i++) {
        struct w_thread_shm *t = &b->b_threads[i];
        uint64_t who = sm_load_acq(&t->t_owner);
        if (!gone(b, t, who) || !sm_cas(&t->t_owner, &who, w_thread_who())) {
            continue; /* of two sweepers one gets it */
        }
        bool process = who >> 32 != (uint32_t)getpid();
        tell_held(b, t, who, process, process ? "died with a lock held" : ENDED);
        slot_free(t);
        swept++;
    }
    return swept;
}
