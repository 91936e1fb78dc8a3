/* who.c - the walk over items that are out. Owns nothing; stands on the survey that the invariant checks use, which
 * believes no number of the arena. Takes no lock. Source: layout.h, STATE WORD, TRACE RECORD, MALLOC TAG.
 */
#include "who.h"

#include "check_ctx.h"

/* Bytes and type of an item of malloc; a tag that cannot be leaves both as they are. */
static void tell_tag(const struct sm_check *c, const struct sm_check_slab *s, uint32_t i, struct sm_who_item *w) {
    const struct sm_check_keg *k = &c->c_keg[s->s_keg];
    if (!(k->k_flags & SM_KEG_TAGGED) || s->s_aux == NULL) {
        return;
    }
    uint32_t tag = sm_load_rlx(&s->s_aux[i]), types = sm_load_rlx(&c->c_ctl->ctl_types);
    uint64_t usable = k->k_flags & SM_KEG_RUNS ? (uint64_t)s->s_pages << SM_PAGE_SHIFT
                                               : sm_load_rlx(&c->c_kegs[s->s_keg].k_item_bytes);
    w->wi_bytes = usable;
    if (tag != 0 && SM_TAG_TYPE(tag) < types && SM_TAG_TYPE(tag) < c->c_header.h_max_types &&
        SM_TAG_SLACK(tag) < usable) {
        w->wi_bytes = usable - SM_TAG_SLACK(tag);
        w->wi_type = SM_TAG_TYPE(tag);
    }
}

static void tell_trace(const struct sm_check_slab *s, uint32_t i, struct sm_who_item *w) {
    if (s->s_trace == NULL) {
        return;
    }
    const struct sm_trace_shm *t = &s->s_trace[i];
    w->wi_traced = true;
    w->wi_site = sm_load_acq(&t->tr_site); /* pairs with the release in sm_site_record */
    w->wi_pid = sm_load_rlx(&t->tr_pid);
    w->wi_time_ns = sm_load_rlx(&t->tr_time_ns);
}

static int walk(const struct sm_check *c, const struct sm_check_slab *s, sm_who_fn fn, void *ctx) {
    int rc = 0;
    for (uint32_t i = 0; i < s->s_items && rc == 0; i++) {
        uint64_t word = sm_load_acq(&s->s_words[i]);
        enum sm_kind kind = SM_ST_KIND(word);
        /* A cluster is no more out than the mbufs that refer to it, and they are told. */
        bool attached = kind == SM_ATTACHED && !(c->c_keg[s->s_keg].k_flags & SM_KEG_REFCNT);
        if (kind != SM_HELD && kind != SM_QUEUED && kind != SM_TICKETED && !attached) {
            continue;
        }
        struct sm_who_item w = {
            .wi_item = sm_check_item_off(c, s, i),
            .wi_zone = SM_ST_ZONE(word),
            .wi_kind = kind,
            .wi_holder = SM_ST_CPU(word),
            .wi_gen = SM_ST_GEN(word),
            .wi_type = UINT32_MAX,
        };
        if (w.wi_zone < c->c_header.h_max_zones) {
            w.wi_bytes = sm_load_rlx(&c->c_zones[w.wi_zone].z_item_bytes);
        }
        tell_tag(c, s, i, &w);
        tell_trace(s, i, &w);
        /* A second look: the item that changed hands or life meanwhile would be told with another one's record. */
        if (sm_load_acq(&s->s_words[i]) == word) {
            rc = fn(ctx, &w);
        }
    }
    return rc;
}

enum sm_err sm_who_each(struct sm_arena *a, sm_who_fn fn, void *ctx) {
    struct sm_check_result seen = {0};
    struct sm_check c = {.c_arena = a, .c_result = &seen, .c_unfinished_cpu = SM_CPU_NONE};
    enum sm_err err = sm_check_i1(&c);
    if (err != SM_OK || !c.c_usable) {
        return err != SM_OK ? err : SM_CORRUPT;
    }
    err = sm_check_survey_items(&c);
    int rc = 0;
    for (uint32_t n = 0; err == SM_OK && n < c.c_slabs && rc == 0; n++) {
        rc = walk(&c, &c.c_slab[n], fn, ctx);
    }
    sm_check_survey_end(&c);
    return err;
}
