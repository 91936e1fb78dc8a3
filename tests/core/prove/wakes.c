/* wakes.c - a process that sleeps for an item while another, which was about to give it one, is killed: once that one is
 * reaped the sleeper must have its item. With real processes only, since a stopped one wakes from nothing. And the check
 * that the harness itself sees damage. Source: prove.h.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "core/reap.h"
#include "prove.h"

#define WAKE_MS 10000

/* Neither the operation nor recovery had anything for the sleeper: the survivor frees an item of its own. */
static bool nothing_to_have(const struct sm_arena *a) {
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        const struct sm_keg_shm *k = &a->a_kegs[i];
        if (sm_load_rlx(&k->k_waiters) != 0 && k->k_free == 0 && k->k_max_slabs != 0 && k->k_slabs >= k->k_max_slabs) {
            return true;
        }
    }
    return false;
}

bool prove_replay_wake(const struct prove_op *op, uint64_t n, const struct prove_options *p, struct prove_verdict *v) {
    struct prove_world w;
    struct prove_step s;
    *v = (struct prove_verdict){0};
    prove_world_open(&w, op);
    MUST(kill(w.w_peer, SIGCONT) == 0);
    pid_t pid = prove_victim(&w, w.w_survivor.c_fd, true);
    prove_step_start(&s, pid, p->p_all);
    while (s.s_steps < n && prove_step(&s)) {
    }
    prove_kill(pid);
    enum sm_err err = sm_reap(w.w_survivor.c_arena, NULL);
    if (err == SM_OK && nothing_to_have(w.w_survivor.c_arena)) {
        err = sm_zone_free(w.w_survivor.c_item_zone[0], w.w_survivor.c_item[0], NULL);
    }
    struct pollfd done = {.fd = w.w_peer_done, .events = POLLIN};
    if (err != SM_OK) {
        snprintf(v->v_text, sizeof v->v_text, "reap and free: %s", sm_err_name(err));
    } else if (poll(&done, 1, WAKE_MS) != 1) {
        snprintf(v->v_text, sizeof v->v_text, "the sleeper was not woken");
        v->v_lost = 1;
    }
    bool ok = v->v_text[0] == 0;
    MUST(kill(w.w_peer, SIGSTOP) == 0);
    prove_world_close(&w);
    return ok;
}

void prove_sweep_wakes(struct prove_world *w, const uint64_t *steps, uint64_t n, const struct prove_options *p,
                       struct prove_tally *t) {
    for (uint64_t i = 0; i < n; i++) {
        struct prove_verdict v;
        char replay[64];
        t->t_wakes++;
        if (!prove_replay_wake(w->w_op, steps[i], p, &v)) {
            snprintf(replay, sizeof replay, "--wake-at %llu%s", (unsigned long long)steps[i],
                     p->p_all ? " --libc" : "");
            prove_report_bad(w, &v, replay, t);
        }
    }
}

/* ---------------------------------------------------------------- does the harness see anything at all? */

static int leak_one(const struct sm_slab_ref *s, void *ctx) {
    uint32_t *left = ctx;
    for (uint32_t i = 0; *left > 0 && i < 16; i++) {
        if (SM_ST_KIND(s->sr_words[i]) == SM_FREE) {
            s->sr_words[i] = (s->sr_words[i] & SM_ST_GEN_MASK) | SM_ST_LOW(SM_HELD, 0, 0);
            (*left)--;
        }
    }
    return 0;
}

static void damage_leak(struct sm_arena *a) {
    uint32_t left = 1;
    (void)sm_slab_each(a, 0, leak_one, &left);
    a->a_ctl->ctl_reaping = 1; /* has everything that is derived rebuilt around the leak: only conservation can tell */
}

bool prove_self_check(void) {
    const struct prove_op *op = prove_first_op;
    struct prove_world w;
    struct prove_verdict v;
    bool sees = true;
    while (op && strcmp(op->o_name, "slab-create") != 0) {
        op = op->o_next;
    }
    MUST(op != NULL);
    prove_world_open(&w, op);
    prove_restore(&w, w.w_image, 0);
    sees = sees && prove_verdict(&w, &v, false);
    prove_restore(&w, w.w_image, 0);
    ((uint8_t *)w.w_survivor.c_item[1])[7] ^= 1;
    sees = sees && !prove_verdict(&w, &v, false) && v.v_lost == 1;
    prove_world_close(&w);
    for (op = prove_first_op; strcmp(op->o_name, "alloc") != 0; op = op->o_next) {
    }
    prove_world_open(&w, op);
    prove_restore(&w, w.w_image, 0);
    damage_leak(w.w_survivor.c_arena);
    sees = sees && !prove_verdict(&w, &v, false) && v.v_findings == 0 && v.v_lost >= 1;
    prove_world_close(&w);
    return sees;
}
