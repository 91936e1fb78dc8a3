/* program.c - slots: claimed, written, published by one store, given back. Takes no lock.
 *
 * A setter claims a free slot with its pid, writes the program into it, publishes it with a compare-and-swap of p_live,
 * calls the slot LIVE and frees the one that was live before. What it leaves when it is killed:
 *   after claiming, while writing     a CLAIMED slot under a dead pid that no p_live names: free (F5)
 *   after publishing                  a CLAIMED slot under a dead pid that a p_live names: in use, as if LIVE
 *   before freeing the one before     a LIVE slot that no p_live names: free (F5)
 * so nothing has to be undone, and whoever finds no FREE slot looks for those. A reader that works on a slot which is taken
 * from it finds another p_live when it has decided, and decides again (F2, F3).
 */
#define _GNU_SOURCE
#include "program.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "point.h"

static bool ended(const char *text, size_t most) {
    return memchr(text, 0, most) != NULL;
}

static bool term_valid(const struct fi_block *b, const struct fi_term *t, uint32_t count) {
    if (t->t_action >= FI_A_RATE || (t->t_flags & ~FI_T_ALL) != 0 || t->t_code > FI_C_NUMBER) {
        return false;
    }
    if (!ended(t->t_subject, sizeof t->t_subject) || !ended(t->t_text, sizeof t->t_text) ||
        !ended(t->t_stack, sizeof t->t_stack)) {
        return false;
    }
    if ((t->t_flags & FI_T_EVERY && t->t_every == 0) || (t->t_flags & FI_T_INTERVAL && t->t_interval == 0) ||
        t->t_space > FI_LOW || t->t_count > FI_LOW) {
        return false;
    }
    return t->t_action != FI_A_ARM || (t->t_template > 0 && t->t_template < count && t->t_target < fi_point_count(b));
}

bool fi_program_valid(const struct fi_block *b, const struct fi_program *programs, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const struct fi_program *g = &programs[i];
        if (g->g_terms == 0 || g->g_terms > FI_TERMS || !ended(g->g_text, sizeof g->g_text)) {
            return false;
        }
        for (uint32_t j = 0; j < g->g_terms; j++) {
            if (!term_valid(b, &g->g_term[j], i == 0 ? count : 0)) { /* a template arms nothing */
                return false;
            }
        }
    }
    return count <= 1 + FI_TERMS;
}

static bool is_live(const struct fi_block *b, uint32_t slot) {
    for (uint32_t i = 0, n = fi_point_count(b); i < n; i++) {
        if ((sm_load_acq(&b->b_points[i].p_live) & FI_LOW) == slot + 1) {
            return true;
        }
    }
    return false;
}

/* The state word of a template: which slot its program is in, and enough of that one's tag to know it from a later. */
static uint64_t template_of(uint32_t slot, uint32_t tag) {
    return ((uint64_t)tag << FI_OWNER_BITS | (slot + 1)) << 32 | FI_S_TEMPLATE;
}

static bool owner_in_use(const struct fi_block *b, uint32_t high);

static bool in_use(const struct fi_block *b, uint32_t slot, uint64_t state) {
    uint32_t high = (uint32_t)(state >> 32);
    switch ((enum fi_slot_state)(state & 0xffffffffu)) {
    case FI_S_CLAIMED:
        return !fi_pid_gone(high) || is_live(b, slot);
    case FI_S_LIVE:
        return is_live(b, slot);
    case FI_S_TEMPLATE:
        return owner_in_use(b, high);
    case FI_S_FREE:
        break;
    }
    return false;
}

/* A template is in use as long as the slot of its program is: that one is LIVE under the same tag, or being made. */
static bool owner_in_use(const struct fi_block *b, uint32_t high) {
    uint32_t owner = (high & ((1u << FI_OWNER_BITS) - 1)) - 1;
    if (owner >= b->b_max_slots) {
        return false;
    }
    uint64_t state = sm_load_acq(&b->b_slots[owner].s_state);
    switch ((enum fi_slot_state)(state & 0xffffffffu)) {
    case FI_S_CLAIMED:
        return in_use(b, owner, state);
    case FI_S_LIVE:
        return template_of(owner, (uint32_t)(state >> 32)) >> 32 == high && in_use(b, owner, state);
    case FI_S_TEMPLATE:
    case FI_S_FREE:
        break;
    }
    return false;
}

uint32_t fi_slots_free(const struct fi_block *b) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->b_max_slots; i++) {
        n += !in_use(b, i, sm_load_acq(&b->b_slots[i].s_state));
    }
    return n;
}

/* Templates of what this slot held; under any tag, for its new claimer has written none yet. */
static void free_templates(struct fi_block *b, uint32_t slot, uint32_t tag, bool any_tag) {
    for (uint32_t i = 0; i < b->b_max_slots; i++) {
        uint64_t state = sm_load_acq(&b->b_slots[i].s_state), wanted = template_of(slot, tag);
        uint64_t owner = ((1ull << FI_OWNER_BITS) - 1) << 32 | 0xffffffffu;
        if (any_tag ? (state & owner) == (wanted & owner) : state == wanted) {
            (void)sm_cas(&b->b_slots[i].s_state, &state, FI_S_FREE);
        }
    }
}

/* FREE slots first; then what the dead left. False: there is none. */
static bool claim(struct fi_block *b, uint32_t *slot) {
    uint64_t mine = (uint64_t)(uint32_t)getpid() << 32 | FI_S_CLAIMED;
    for (int turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < b->b_max_slots; i++) {
            uint64_t was = sm_load_acq(&b->b_slots[i].s_state);
            if ((turn == 0 ? was == FI_S_FREE : !in_use(b, i, was)) && sm_cas(&b->b_slots[i].s_state, &was, mine)) {
                *slot = i;
                fi_crash_point(FI_STEP_CLAIMED);
                if (turn == 1) {
                    free_templates(b, i, 0, true);
                }
                return true;
            }
        }
    }
    (void)sm_add_rlx(&b->b_header->h_lost, 1);
    return false;
}

static uint32_t tag_next(struct fi_block *b) {
    return (sm_add_rlx(&b->b_header->h_tags, 1) + 1) & FI_TAGS;
}

static void write_slot(struct fi_block *b, uint32_t slot, uint32_t point, uint32_t tag, const struct fi_program *g) {
    struct fi_slot_shm *s = &b->b_slots[slot];
    for (uint32_t i = 0; i < FI_TERMS; i++) { /* first: a late count for the program before finds another tag (F3) */
        uint64_t zero = (uint64_t)tag << FI_TAG_SHIFT;
        sm_store_rel(&s->s_term[i].x_seen, zero);
        sm_store_rel(&s->s_term[i].x_fired, zero);
        sm_store_rel(&s->s_term[i].x_last, zero);
        sm_store_rel(&s->s_term[i].x_space, zero);
    }
    sm_store_rlx(&s->s_pid, (uint32_t)getpid());
    sm_store_rlx(&s->s_point, point);
    sm_store_rlx(&s->s_base, point == FI_NONE ? 0 : sm_load_acq(&b->b_points[point].p_reached));
    sm_store_rlx(&s->s_set_ns, fi_wall_ns());
    fi_words_store(&s->s_program, g, sizeof *g);
    fi_crash_point(FI_STEP_WRITTEN);
}

static void publish(struct fi_block *b, uint32_t point, uint64_t live, uint32_t slot, uint32_t tag) {
    struct fi_point_shm *p = &b->b_points[point];
    uint64_t was = sm_load_acq(&p->p_live);
    while (!sm_cas(&p->p_live, &was, live)) { /* pairs with the load in fi_decide: the program is seen whole */
    }
    fi_crash_point(FI_STEP_PUBLISHED);
    if (slot != FI_NONE) { /* unless somebody replaced it already and gave it back */
        uint64_t mine = (uint64_t)(uint32_t)getpid() << 32 | FI_S_CLAIMED;
        (void)sm_cas(&b->b_slots[slot].s_state, &mine, (uint64_t)tag << 32 | FI_S_LIVE);
    }
    fi_crash_point(FI_STEP_SETTLED);
    if (fi_slot_of(b, was) != NULL) {
        uint32_t old = (uint32_t)(was & FI_LOW) - 1;
        uint64_t state = sm_load_acq(&b->b_slots[old].s_state);
        uint64_t old_tag = was >> FI_TAG_SHIFT;
        /* LIVE under its tag: ours to free. CLAIMED: its setter has not called it LIVE yet, or died; F5 frees it. */
        if (state == (old_tag << 32 | FI_S_LIVE)) {
            free_templates(b, old, (uint32_t)old_tag, false);
            (void)sm_cas(&b->b_slots[old].s_state, &state, FI_S_FREE);
        }
    }
    (void)sm_add_acqrel(&p->p_resume, 1); /* who is paused here goes on */
    syscall(SYS_futex, &p->p_resume, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void give_back(struct fi_block *b, const uint32_t *slots, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        sm_store_rel(&b->b_slots[slots[i]].s_state, FI_S_FREE);
    }
}

enum sm_err fi_program_set(struct fi_block *b, uint32_t point, const struct fi_program *programs, uint32_t count) {
    uint32_t slots[1 + FI_TERMS];
    if (point >= fi_point_count(b)) {
        return SM_NOT_FOUND;
    }
    uint32_t tag = tag_next(b);
    if (count == 0) {
        publish(b, point, (uint64_t)tag << FI_TAG_SHIFT, FI_NONE, tag);
        return SM_OK;
    }
    if (!fi_program_valid(b, programs, count)) {
        return SM_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!claim(b, &slots[i])) {
            give_back(b, slots, i);
            return SM_TABLE_FULL;
        }
    }
    struct fi_program own = programs[0];
    for (uint32_t i = 0; i < own.g_terms; i++) {
        if (own.g_term[i].t_action == FI_A_ARM) {
            own.g_term[i].t_template = slots[own.g_term[i].t_template];
        }
    }
    for (uint32_t i = 1; i < count; i++) {
        write_slot(b, slots[i], FI_NONE, tag, &programs[i]);
        sm_store_rel(&b->b_slots[slots[i]].s_state, template_of(slots[0], tag));
    }
    write_slot(b, slots[0], point, tag, &own);
    publish(b, point, (uint64_t)tag << FI_TAG_SHIFT | (slots[0] + 1), slots[0], tag);
    return SM_OK;
}

enum sm_err fi_program_arm(struct fi_block *b, uint32_t point, uint32_t template_slot, uint32_t of, uint32_t of_tag) {
    struct fi_program g;
    uint32_t slot;
    if (point >= fi_point_count(b) || template_slot >= b->b_max_slots) {
        return SM_NOT_FOUND;
    }
    struct fi_slot_shm *s = &b->b_slots[template_slot];
    uint64_t state = sm_load_acq(&s->s_state);
    fi_words_load(&g, &s->s_program, sizeof g);
    if (state != template_of(of, of_tag) || sm_load_acq(&s->s_state) != state || !fi_program_valid(b, &g, 1)) {
        return SM_GONE; /* its program was replaced while its arm fired */
    }
    if (!claim(b, &slot)) {
        return SM_TABLE_FULL;
    }
    uint32_t tag = tag_next(b);
    write_slot(b, slot, point, tag, &g);
    publish(b, point, (uint64_t)tag << FI_TAG_SHIFT | (slot + 1), slot, tag);
    return SM_OK;
}

enum sm_err fi_program_get(struct fi_block *b, uint32_t point, struct fi_setting *out) {
    if (point >= fi_point_count(b)) {
        return SM_NOT_FOUND;
    }
    for (int tries = 0; tries < 64; tries++) {
        uint64_t live = sm_load_acq(&b->b_points[point].p_live);
        struct fi_slot_shm *s = fi_slot_of(b, live);
        if (s == NULL) {
            return SM_NOT_FOUND;
        }
        fi_words_load(&out->s_program, &s->s_program, sizeof out->s_program);
        uint64_t since = sm_load_acq(&b->b_points[point].p_reached) - sm_load_acq(&s->s_base);
        for (uint32_t i = 0; i < FI_TERMS; i++) {
            out->s_seen[i] = sm_load_acq(&s->s_term[i].x_seen) & FI_LOW;
            out->s_fired[i] = sm_load_acq(&s->s_term[i].x_fired) & FI_LOW;
        }
        if (fi_counts_directly(out->s_program.g_term[0].t_flags)) {
            out->s_seen[0] = since;
        }
        out->s_pid = sm_load_acq(&s->s_pid);
        out->s_set_ns = sm_load_acq(&s->s_set_ns);
        if (sm_load_rlx(&b->b_points[point].p_live) == live && out->s_program.g_terms <= FI_TERMS) {
            out->s_program.g_text[FI_TEXT_BYTES - 1] = 0;
            return SM_OK;
        }
    }
    return SM_STALLED;
}
