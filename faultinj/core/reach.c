/* reach.c - evaluation of a point's program, term after term, as fail(9) does it: the first term that applies happens.
 *
 * In one term: the filters say whether this reaching concerns it; space, nth, every and interval count those that do; then
 * the probability is drawn; then, last, the count is taken, so that a term that does not happen spends nothing. A term whose
 * count is spent drops out. Random number k of a point is a function of the block's seed, the point's name and k: one thread
 * gets the same ones in every run; of several threads or processes that reach one point at once the kernel decides who
 * draws which.
 *
 * The program may be replaced while it is read. What was decided counts only if p_live is the same after as before;
 * otherwise the point is decided anew, a few times, then it passes.
 */
#define _GNU_SOURCE
#include "reach.h"

#include <string.h>
#include <unistd.h>

#include "glob.h"
#include "log.h"
#include "program.h"
#include "sweep.h"

#define TRIES 8

enum applies { NO, YES, RETIRED };

static const struct fi_request nothing;

static uint64_t mixed(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint32_t draw(struct fi_block *b, struct fi_point_shm *p) {
    uint64_t k = sm_add_rlx(&p->p_draws, 1), name = 14695981039346656037ull;
    /* By its name, not its number, which may be another next time. */
    for (uint32_t i = 0; i < FI_NAME_BYTES && p->p_name[i] != 0; i++) {
        name = (name ^ (uint8_t)p->p_name[i]) * 1099511628211ull;
    }
    uint64_t random = mixed(mixed(sm_load_rlx(&b->b_header->h_seed) ^ name) + k);
    return (uint32_t)((random >> 32) * 1000000 >> 32);
}

/* Adds to a count of this tag, up to `most`: RETIRED if another program has the slot, NO if it would go beyond. */
static inline __attribute__((always_inline)) enum applies count_up(uint64_t *word, uint64_t tag, uint64_t by,
                                                                   uint64_t most, uint64_t *now) {
    uint64_t was = sm_load_acq(word);
    do {
        if (was >> FI_TAG_SHIFT != tag) {
            return RETIRED;
        }
        if ((was & FI_LOW) + by > most) {
            *now = was & FI_LOW;
            return NO;
        }
    } while (!sm_cas(word, &was, was + by));
    *now = (was & FI_LOW) + by;
    return YES;
}

static bool matches(const char *shared, const struct fi_request *q, size_t bytes) {
    char pattern[FI_WORDS_BYTES];
    char first = sm_load_acq(shared);
    const char *text = q->q_subject;
    if (text == NULL ||
        (first != text[0] && first != '*' && first != '?')) { /* most that do not match, do not so early */
        return false;
    }
    fi_words_load(pattern, shared, bytes);
    return fi_glob(pattern, bytes, text, q->q_subject_bytes != 0 ? q->q_subject_bytes : FI_NAME_BYTES);
}

static bool on_stack(struct fi_block *b, const struct fi_term *t) {
    char pattern[FI_WORDS_BYTES];
    fi_words_load(pattern, t->t_stack, sizeof pattern);
    pattern[sizeof pattern - 1] = 0;
    return b->b_on_stack != NULL && b->b_on_stack(b->b_ctx, pattern);
}

static bool chosen(struct fi_block *b, const struct fi_term *t, uint32_t flags, const struct fi_request *q) {
    if (flags & FI_T_STEP && q->q_step != sm_load_acq(&t->t_step)) {
        return false;
    }
    if (flags & FI_T_SIZE && q->q_bytes < sm_load_acq(&t->t_size)) {
        return false;
    }
    if (flags & FI_T_FLAGS && ((uint32_t)q->q_flags & sm_load_acq(&t->t_want)) != sm_load_acq(&t->t_want)) {
        return false;
    }
    if (flags & FI_T_CPU && (q->q_cpu == NULL || q->q_cpu(q->q_arena) != sm_load_acq(&t->t_cpu))) {
        return false;
    }
    if (flags & FI_T_SUBJECT && !matches(t->t_subject, q, sizeof t->t_subject)) {
        return false;
    }
    if (flags & FI_T_PID && (uint32_t)getpid() != sm_load_acq(&t->t_pid)) {
        return false;
    }
    if (flags & FI_T_STACK && !on_stack(b, t)) {
        return false;
    }
    return !(flags & FI_T_NOT_STACK) || !on_stack(b, t);
}

/* Whether the triggers choose reaching k of those that concern the term. An nth that nobody saw, because its program was
 * being set just then, is made up for by the next: it happens once in any case. */
static enum applies triggered(const struct fi_term *t, const struct fi_term_state *x, uint32_t flags, uint64_t tag,
                              uint64_t k) {
    if (flags & FI_T_NTH) {
        uint64_t nth = sm_load_acq(&t->t_nth);
        if (k < nth || (flags & FI_T_PERCENT && k != nth)) {
            return NO;
        }
    }
    if (flags & FI_T_EVERY) {
        uint64_t every = sm_load_acq(&t->t_every);
        if (every == 0 || k % every != 0) {
            return NO;
        }
    }
    if (flags & FI_T_INTERVAL) {
        uint64_t last = sm_load_acq(&x->x_last);
        if (last >> FI_TAG_SHIFT != tag) {
            return RETIRED;
        }
        if ((last & FI_LOW) != 0 && k < (last & FI_LOW) + sm_load_acq(&t->t_interval)) {
            return NO;
        }
    }
    return YES;
}

/* Counts this reaching for the term; NO: its bytes still go by. */
static enum applies counted(const struct fi_term *t, struct fi_term_state *x, uint32_t flags, uint64_t tag,
                            const struct fi_request *q, uint64_t *k) {
    if (flags & FI_T_SPACE && q->q_bytes < FI_LOW) {
        uint64_t went_by;
        enum applies now = count_up(&x->x_space, tag, q->q_bytes, sm_load_acq(&t->t_space), &went_by);
        if (now != NO) { /* there was room for it in the space */
            return now == YES ? NO : now;
        }
    }
    return count_up(&x->x_seen, tag, 1, FI_LOW, k);
}

/* since: reachings of the point since its program was set. */
static enum applies term_applies(struct fi_block *b, struct fi_point_shm *p, const struct fi_term *t,
                                 struct fi_term_state *x, uint64_t tag, const struct fi_request *q, bool first,
                                 uint64_t since) {
    uint32_t flags = sm_load_acq(&t->t_flags);
    enum applies now = YES;
    uint64_t k = since & FI_LOW, fired;
    if (flags & FI_FILTERS && !chosen(b, t, flags, q)) {
        return NO;
    }
    if (flags & (FI_T_NTH | FI_T_EVERY | FI_T_INTERVAL | FI_T_SPACE)) {
        if (!(first && fi_counts_directly(flags))) {
            now = counted(t, x, flags, tag, q, &k);
        } else if ((int64_t)since < 1) { /* it reached the point before the program was set, and looks only now */
            return NO;
        }
        if (now != YES || (now = triggered(t, x, flags, tag, k)) != YES) {
            return now;
        }
    }
    if (flags & FI_T_PERCENT && draw(b, p) >= sm_load_acq(&t->t_millionths)) {
        return NO;
    }
    uint64_t most = flags & FI_T_NTH ? 1 : flags & FI_T_COUNT ? sm_load_acq(&t->t_count) : FI_LOW;
    if ((now = count_up(&x->x_fired, tag, 1, most, &fired)) == YES && flags & FI_T_INTERVAL) {
        uint64_t last = sm_load_acq(&x->x_last); /* of two that happen at once the later counts */
        while (last >> FI_TAG_SHIFT == tag && (last & FI_LOW) < k &&
               !sm_cas(&x->x_last, &last, tag << FI_TAG_SHIFT | k)) {
        }
    }
    return now;
}

static void take_over(struct fi_verdict *v, const struct fi_term *t) {
    v->v_code = sm_load_acq(&t->t_code);
    v->v_number = sm_load_acq(&t->t_number);
    v->v_target = sm_load_acq(&t->t_target);
    v->v_template = sm_load_acq(&t->t_template);
    fi_words_load(v->v_text, t->t_text, sizeof v->v_text);
    v->v_text[sizeof v->v_text - 1] = 0;
    v->v_action = sm_load_acq(&t->t_action);
}

static enum applies evaluate(struct fi_block *b, struct fi_point_shm *p, struct fi_slot_shm *s, uint64_t tag,
                             const struct fi_request *q, uint64_t times, struct fi_verdict *v) {
    uint64_t since = times - sm_load_acq(&s->s_base);
    uint32_t terms = sm_load_acq(&s->s_program.g_terms);
    for (uint32_t i = 0; i < terms && i < FI_TERMS; i++) {
        const struct fi_term *t = &s->s_program.g_term[i];
        enum applies now = term_applies(b, p, t, &s->s_term[i], tag, q, i == 0, since);
        if (now == YES) {
            take_over(v, t);
        }
        if (now != NO) {
            return now;
        }
    }
    return NO;
}

static bool decide(struct fi_block *b, uint32_t point, const struct fi_request *q, uint64_t times,
                   struct fi_verdict *v) {
    struct fi_point_shm *p = &b->b_points[point];
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t live = sm_load_acq(&p->p_live); /* pairs with the compare-and-swap in program.c */
        struct fi_slot_shm *s = fi_slot_of(b, live);
        if (s == NULL) {
            return false;
        }
        enum applies now = evaluate(b, p, s, live >> FI_TAG_SHIFT, q, times, v);
        /* Every load above is an acquire: this one is not made before them. */
        if (now != RETIRED && sm_load_acq(&p->p_live) == live) {
            v->v_slot = (uint32_t)(live & FI_LOW) - 1;
            v->v_tag = (uint32_t)(live >> FI_TAG_SHIFT);
            return now == YES && v->v_action != FI_A_OFF && v->v_action < FI_A_RATE;
        }
    }
    return false;
}

static void tell(struct fi_block *b, uint32_t point, const struct fi_request *q, const struct fi_verdict *v,
                 uint64_t sequence) {
    struct fi_log_shm row = {.l_sequence = sequence,
                             .l_bytes = q->q_bytes,
                             .l_number = v->v_number,
                             .l_point = point,
                             .l_action = v->v_action,
                             .l_code = v->v_code,
                             .l_step = q->q_step};
    if (q->q_subject != NULL) {
        memcpy(row.l_subject, q->q_subject, strnlen(q->q_subject, FI_SUBJECT_BYTES - 1));
    }
    if (v->v_action != FI_A_PRINT && v->v_action != FI_A_ARM) {
        (void)sm_add_rlx(&b->b_points[point].p_injected, 1);
    }
    fi_log_add(b, &row);
}

static __attribute__((noinline)) bool reached(struct fi_block *b, uint32_t point, const struct fi_request *q,
                                              struct fi_verdict *v, uint64_t times, bool swept, uint64_t sequence) {
    q = q != NULL ? q : &nothing;
    if (swept) {
        bool kills = point == FI_POINT_CRASH || sm_load_rlx(&b->b_header->w_kind) == FI_DIE;
        *v = (struct fi_verdict){.v_action = kills ? FI_A_KILL : FI_A_RETURN};
    } else if (!decide(b, point, q, times, v)) {
        return false;
    }
    v->v_point = point;
    v->v_request = q;
    tell(b, point, q, v, sequence != 0 ? sequence : times);
    return true;
}

bool fi_reach(struct fi_block *b, uint32_t point, const struct fi_request *q, struct fi_verdict *v) {
    if (sm_unlikely(point >= b->b_max_points)) {
        return false;
    }
    struct fi_point_shm *p = &b->b_points[point];
    uint64_t sequence = 0, times = sm_add_rlx(&p->p_reached, 1) + 1;
    bool swept = sm_unlikely(sm_load_rlx(&b->b_header->w_kind) != FI_OFF) && fi_sweep_fault(b, point, &sequence);
    if (sm_likely(!swept && (sm_load_rlx(&p->p_live) & FI_LOW) == 0)) {
        return false;
    }
    return reached(b, point, q, v, times, swept, sequence);
}

bool fi_reach_crash(struct fi_block *b, const struct fi_request *q, struct fi_verdict *v) {
    struct fi_point_shm *p = &b->b_points[FI_POINT_CRASH];
    uint64_t sequence = 0, times = sm_add_rlx(&p->p_reached, 1) + 1;
    bool swept = sm_unlikely(sm_load_rlx(&b->b_header->w_kind) != FI_OFF) && fi_sweep_crash(b, &sequence);
    if (sm_likely(!swept && (sm_load_rlx(&p->p_live) & FI_LOW) == 0)) {
        return false;
    }
    return reached(b, FI_POINT_CRASH, q, v, times, swept, sequence);
}

void fi_reach_forced(struct fi_block *b, uint32_t point, const struct fi_request *q) {
    struct fi_verdict v = {.v_action = FI_A_RATE};
    tell(b, point, q, &v, sm_add_rlx(&b->b_points[point].p_reached, 1) + 1);
}
