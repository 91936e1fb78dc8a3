/* act.c - the actions of fail(9) that need no interpreter. Writes to standard error with write(2); allocates nothing.
 *
 * A pause is entered in the table so that people can see it; a process killed while it is paused leaves an entry that counts
 * no more and is taken by the next one. The wait is a futex on the point's p_resume, in slices, so that a wake-up lost with
 * a killed setter costs a slice and not the pause.
 */
#define _GNU_SOURCE
#include "act.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "point.h"
#include "program.h"

#define SLICE_NS 500000000

const char *fi_action_name(uint32_t action) {
    static const char *const names[] = {
#define FI_ACTION_NAME(id, name) name,
        FI_ACTIONS(FI_ACTION_NAME)
#undef FI_ACTION_NAME
    };
    return action < FI_ACTION_COUNT ? names[action] : "?";
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void say(struct fi_block *b, const struct fi_verdict *v, const char *what) {
    const struct fi_request *q = v->v_request;
    char line[320];
    int n = snprintf(line, sizeof line, "faultinj: %s at %.64s%s%.32s (%llu bytes, pid %d, thread %ld)%s%.64s\n", what,
                     b->b_points[v->v_point].p_name, q->q_subject != NULL ? " of " : "",
                     q->q_subject != NULL ? q->q_subject : "", (unsigned long long)q->q_bytes, (int)getpid(),
                     (long)syscall(SYS_gettid), v->v_text[0] != 0 ? ": " : "", v->v_text);
    size_t left = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    for (const char *from = line; left > 0;) {
        ssize_t wrote = write(STDERR_FILENO, from, left);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return; /* nobody listens: what was to be said is in the log too */
        }
        from += wrote;
        left -= (size_t)wrote;
    }
}

static _Noreturn void kill_self(void) {
    kill(getpid(), SIGKILL);
    _exit(128 + SIGKILL); /* the first process of a pid namespace is spared by its own signals */
}

static bool stopped(const struct fi_verdict *v) {
    return v->v_request->q_stop != NULL && v->v_request->q_stop();
}

/* In slices: a signal that comes just before the sleep begins does not interrupt it. */
static void sleep_ms(const struct fi_verdict *v) {
    int64_t left, end = now_ns() + v->v_number * 1000000;
    while ((left = end - now_ns()) > 0) {
        left = left < SLICE_NS ? left : SLICE_NS;
        struct timespec slice = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        nanosleep(&slice, NULL);
        if (stopped(v)) {
            return;
        }
    }
}

static void busy_us(const struct fi_verdict *v) {
    int64_t now = now_ns(), end = now + v->v_number * 1000, ask = now + SLICE_NS / 10;
    for (; now < end; now = now_ns()) {
        if (now >= ask && stopped(v)) {
            return;
        }
        ask = now >= ask ? now + SLICE_NS / 10 : ask;
        sm_cpu_relax();
    }
}

static struct fi_pause_shm *pause_enter(struct fi_block *b, uint32_t point) {
    uint64_t who = (uint64_t)(uint32_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
    for (uint32_t i = 0; i < b->b_max_pauses; i++) {
        struct fi_pause_shm *z = &b->b_pauses[i];
        uint64_t was = sm_load_acq(&z->z_who);
        if ((was == 0 || fi_pid_gone((uint32_t)(was >> 32))) && sm_cas(&z->z_who, &was, who)) {
            sm_store_rlx(&z->z_since_ns, fi_wall_ns());
            sm_store_rel(&z->z_point, (uint64_t)point + 1);
            return z;
        }
    }
    (void)sm_add_rlx(&b->b_header->h_lost, 1); /* paused all the same, only not listed */
    return NULL;
}

static void wait_for_resume(struct fi_block *b, const struct fi_verdict *v) {
    struct fi_point_shm *p = &b->b_points[v->v_point];
    uint32_t was = sm_load_acq(&p->p_resume); /* before the entry: who sees us in the list wakes us */
    if (sm_load_acq(&p->p_live) >> FI_TAG_SHIFT != v->v_tag) {
        return; /* replaced since it was decided */
    }
    struct fi_pause_shm *z = pause_enter(b, v->v_point);
    while (sm_load_acq(&p->p_resume) == was) { /* pairs with the additions in fi_resume and publish */
        struct timespec slice = {.tv_sec = 0, .tv_nsec = SLICE_NS};
        syscall(SYS_futex, &p->p_resume, FUTEX_WAIT, was, &slice, NULL, 0);
        if (sm_load_acq(&p->p_live) >> FI_TAG_SHIFT != v->v_tag) {
            break; /* its setter was killed between publishing and waking */
        }
        if (stopped(v)) {
            break;
        }
    }
    if (z != NULL) {
        sm_store_rlx(&z->z_point, 0);
        sm_store_rel(&z->z_who, 0);
    }
}

uint32_t fi_paused_list(struct fi_block *b, struct fi_paused *out, uint32_t most) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->b_max_pauses && n < most; i++) {
        struct fi_pause_shm *z = &b->b_pauses[i];
        uint64_t who = sm_load_acq(&z->z_who), point = sm_load_acq(&z->z_point);
        int64_t since = sm_load_acq(&z->z_since_ns);
        if (who == 0 || point == 0 || sm_load_acq(&z->z_who) != who || fi_pid_gone((uint32_t)(who >> 32))) {
            continue;
        }
        out[n++] = (struct fi_paused){(uint32_t)(who >> 32), (uint32_t)who, (uint32_t)point - 1, since};
    }
    return n;
}

void fi_resume(struct fi_block *b, uint32_t point) {
    for (uint32_t i = 0, n = fi_point_count(b); i < n; i++) {
        if (point == FI_NONE || point == i) {
            (void)sm_add_acqrel(&b->b_points[i].p_resume, 1);
            syscall(SYS_futex, &b->b_points[i].p_resume, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        }
    }
}

void fi_act(struct fi_block *b, const struct fi_verdict *v) {
    switch ((enum fi_action)v->v_action) {
    case FI_A_PANIC:
        say(b, v, "panic");
        abort();
    case FI_A_KILL:
        kill_self();
    case FI_A_PRINT:
        say(b, v, "reached");
        break;
    case FI_A_SLEEP:
        sleep_ms(v);
        break;
    case FI_A_DELAY:
        busy_us(v);
        break;
    case FI_A_PAUSE:
        wait_for_resume(b, v);
        break;
    case FI_A_YIELD:
        sched_yield();
        break;
    case FI_A_BREAK:
        raise(SIGTRAP);
        break;
    case FI_A_ARM: /* without a slot, or when its program is gone, nothing is armed; h_lost tells of the first */
        (void)fi_program_arm(b, v->v_target, v->v_template, v->v_slot, v->v_tag);
        break;
    case FI_A_OFF:
    case FI_A_RETURN:
    case FI_A_RAISE:
    case FI_A_CALLBACK:
    case FI_A_RATE:
    case FI_ACTION_COUNT:
        break;
    }
}
