/* prove.h - the proof that kill -9 at any instruction of the core loses nothing: what its files share.
 *
 *   the world     one memfd arena with a survivor attached (slot 0). An operation's world() fills it; its image is kept.
 *   the victim    a forked process that attaches the same image in an object of its own, runs setup(), then run() under
 *                 ptrace. After each instruction its object is compared with the last state seen. Each new state is
 *                 what a kill at that instruction would have left, so one pass gives the states of all kills.
 *   the verdict   a state is copied over the survivor's object, where the victim's lock byte is free and so the victim
 *                 is dead; its robust locks are marked as the kernel would. The survivor reaps, checks, takes out what
 *                 is queued or kept, allocates every zone to its limit, compares every byte it wrote, frees, checks.
 *   real kills    a sample of the same instructions with SIGKILL, on the survivor's own object: the kernel's part too.
 *
 * A new operation is one PROVE_OP in an ops_*.c file; nothing else has to be changed.
 */
#ifndef TESTS_CORE_PROVE_H
#define TESTS_CORE_PROVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "core/shmalloc.h"

#define PROVE_ZONES 4
#define PROVE_ITEMS 256
#define PROVE_PACKETS 4

/* One attached process: the survivor, the peer or the victim. */
struct prove_cpu {
    struct sm_arena *c_arena; /* NULL for a victim of a PROVE_BARE operation until it attaches */
    int c_fd;                 /* of the object */
    struct sm_zone *c_zone[PROVE_ZONES];
    struct sm_queue *c_queue;
    uint32_t c_type;
    void *c_item[PROVE_ITEMS]; /* what the survivor holds for good: each starts with its cookie */
    struct sm_zone *c_item_zone[PROVE_ITEMS];
    uint32_t c_items;
    struct mbuf *c_packet[PROVE_PACKETS]; /* the survivor's packets: bytes as prove_fill_packet(place) made them */
    uint32_t c_packet_len[PROVE_PACKETS];
    uint32_t c_packets;
};

#define PROVE_BARE 1u  /* the victim is not attached when run() starts */
#define PROVE_MBUFS 4u /* the world has mbufs: room for their zones, and their region is part of every state */
#define PROVE_WAKES 2u /* the peer sleeps at a limit; after a real kill, too, it must wake */

struct prove_op {
    const char *o_name;
    void (*o_world)(struct prove_cpu *survivor); /* once: zones, limits, what the survivor holds */
    void (*o_peer)(struct prove_cpu *peer);      /* a third process, asleep or idle in slot 1 while the victim runs */
    void (*o_setup)(struct prove_cpu *victim);   /* what the victim has done before the operation */
    void (*o_run)(struct prove_cpu *victim);     /* the operation that is swept */
    void (*o_wake)(struct prove_cpu *waker);     /* a fourth process, once run() sleeps in the kernel: wakes it */
    /* After any kill as many items are kept or in transit, and as many in the queues; most 0: not asked. */
    uint32_t o_kept_least, o_kept_most;
    uint32_t o_queued_least, o_queued_most;
    uint32_t o_flags;
    struct prove_op *o_next;
};
extern struct prove_op *prove_first_op;
void prove_register(struct prove_op *op);

#define PROVE_OP(id, name, ...)                                                                                        \
    static struct prove_op id##_op = {.o_name = name, __VA_ARGS__};                                                    \
    __attribute__((constructor)) static void id##_register(void) {                                                     \
        prove_register(&id##_op);                                                                                      \
    }

/* ---- failing: the harness itself is broken, or a child could not do its setup */
_Noreturn void prove_die(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            prove_die(__FILE__, __LINE__, "%s", #cond);                                                                \
        }                                                                                                              \
    } while (0)
#define MUST_OK(call)                                                                                                  \
    do {                                                                                                               \
        enum sm_err must_err = (call);                                                                                 \
        if (must_err != SM_OK) {                                                                                       \
            prove_die(__FILE__, __LINE__, "%s: %s", #call, sm_err_name(must_err));                                     \
        }                                                                                                              \
    } while (0)

/* ---- worlds (world.c) */
struct prove_world {
    const struct prove_op *w_op;
    struct prove_cpu w_survivor;
    uint8_t *w_image;       /* what every victim starts from */
    uint64_t w_bytes;       /* of the object */
    uint64_t w_meta_high, w_data_high, w_extra_high; /* bytes of these regions that any state so far has used */
    pid_t w_peer;           /* stopped, its lock byte held; 0: none */
    int w_peer_done;        /* one byte comes when the peer's part is over */
    uint32_t w_cpus;        /* slots in use in the image: survivor, peer */
};
void prove_world_open(struct prove_world *w, const struct prove_op *op);
void prove_world_close(struct prove_world *w);
/* The parts of the object that carry state: everything but what lies past the frontiers. */
struct prove_range {
    uint64_t g_off, g_bytes;
};
uint32_t prove_ranges(struct prove_world *w, const uint8_t *object, struct prove_range out[8]);
bool prove_differs(struct prove_world *w, const uint8_t *object, const uint8_t *seen);
void prove_copy(struct prove_world *w, uint8_t *to, const uint8_t *from);
/* The image of a state becomes the survivor's object; locks of `dead` are left as the kernel leaves them. */
void prove_restore(struct prove_world *w, const uint8_t *image, pid_t dead);
/* A new memfd with the image in it, mapped at *map, with the lock bytes of survivor and peer held. */
struct prove_object {
    int b_fd;
    int b_keeper; /* its own description */
    uint8_t *b_map;
};
void prove_object_new(struct prove_world *w, const uint8_t *image, struct prove_object *b);
void prove_object_drop(struct prove_world *w, struct prove_object *b);

/* Zones of a world. */
struct sm_zone *prove_zone(struct prove_cpu *c, uint32_t at, const struct sm_zone_params *p, uint64_t limit);
void prove_open_zones(struct prove_cpu *c);
void *prove_alloc(struct prove_cpu *c, uint32_t zone);             /* M_NOWAIT; must succeed */
void prove_hold(struct prove_cpu *survivor, uint32_t zone, uint32_t n); /* items that must survive, with cookies */

/* ---- verdicts (verdict.c) */
struct prove_verdict {
    uint64_t v_findings; /* of sm_check, both looks */
    uint64_t v_lost;     /* items that should be there and are not, or are there twice */
    char v_text[256];    /* the first thing that is wrong */
};
/* The survivor's object holds a state after a kill: true when nothing is lost. verbose: tells what it does. */
bool prove_verdict(struct prove_world *w, struct prove_verdict *v, bool verbose);

/* ---- stepping (step.c) */
struct prove_step {
    pid_t s_pid;
    uint64_t s_core;  /* instructions of the core executed since the begin marker */
    uint64_t s_other; /* others, when every instruction is stepped */
    uint64_t s_steps; /* calls of prove_step: what --at counts */
    uint64_t s_rip;
    void (*s_blocked)(void *ctx); /* called once when the process sleeps in the kernel; NULL: wait for it */
    void *s_ctx;
    bool s_all;  /* libc is stepped too, else it runs through to its return */
    bool s_done; /* the end marker was reached */
};
extern void prove_begin(void), prove_end(void); /* markers, called by the traced process */
void prove_trace_me(void);                      /* in the child: stops until the parent has attached */
void prove_step_start(struct prove_step *s, pid_t pid, bool all);
bool prove_step(struct prove_step *s); /* one instruction (or one call out of the core); false: done */
void prove_kill(pid_t pid);
bool prove_asleep(pid_t pid); /* in a system call that waits */
bool prove_in_core(uint64_t rip);
const char *prove_symbol(uint64_t rip); /* name and offset, for people */

/* ---- sweeps (sweep.c, reaper.c, points.c) */
struct prove_options {
    uint64_t p_seed;
    uint64_t p_states;        /* so many states of an operation are judged, then ever fewer; 0: every one */
    uint64_t p_reaper_states; /* the same for a reaper */
    uint32_t p_reapers;       /* states of an operation whose reaper is swept too */
    uint32_t p_reaper_every;  /* of one operation in so many, by chance */
    uint32_t p_kills;         /* real kills of each operation */
    uint32_t p_wakes;         /* real kills beside a process that sleeps and has to be woken */
    bool p_all;               /* step libc, too */
};
struct prove_tally {
    uint64_t t_instructions, t_other, t_states, t_judged, t_kills, t_points, t_wakes;
    uint64_t t_reaper_instructions, t_reaper_states, t_reaper_judged;
    uint64_t t_findings, t_lost, t_bad;
};
void prove_sweep(struct prove_world *w, const struct prove_options *p, struct prove_tally *t);
void prove_sweep_reaper(struct prove_world *w, const uint8_t *state, pid_t dead, uint64_t at,
                        const struct prove_options *p, struct prove_tally *t);
void prove_sweep_wakes(struct prove_world *w, const uint64_t *steps, uint64_t n, const struct prove_options *p,
                       struct prove_tally *t);
bool prove_replay_wake(const struct prove_op *op, uint64_t n, const struct prove_options *p, struct prove_verdict *v);
bool prove_self_check(void);
void prove_sweep_points(struct prove_world *w, struct prove_tally *t);
/* The victim at step n, then, unless m is UINT64_MAX, its reaper at step m. really: with SIGKILL. */
bool prove_replay(struct prove_world *w, uint64_t n, uint64_t m, bool really, const struct prove_options *p);
bool prove_replay_reaper(struct prove_world *w, const uint8_t *state, pid_t dead, uint64_t m,
                         const struct prove_options *p);
bool prove_replay_point(struct prove_world *w, uint64_t n);
pid_t prove_victim(struct prove_world *w, int fd, bool traced);
uint64_t prove_random(uint64_t *state);
void prove_report_bad(struct prove_world *w, const struct prove_verdict *v, const char *replay, struct prove_tally *t);

#endif
