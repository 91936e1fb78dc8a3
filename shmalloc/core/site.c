/* site.c - the table of allocation sites and the trace records of items. Takes no lock: a place in the table is won by
 * compare-and-swap, and what is in it never changes again. Source: layout.h, SITE and TRACE RECORD.
 *
 * Crash windows, of a site:
 *   place won, text not finished   it stays marked as being written; readers pass over it, and the next insert that
 *                                  comes by finds its writer dead and takes the place over
 *   finished, no record names it   a site without items: it is there for the next one
 * Of a record: the item is CONSTRUCTING, so recovery frees it and nobody reads the record. A page run is HELD already:
 * its record says process and time and no site yet, or nothing (a new slab's records are empty).
 */
#include "site.h"

#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "event.h"
#include "slab.h"
#include "tunable.h"

enum site_step { STEP_SITES_COMMITTED = 0x640, STEP_SITE_WON, STEP_SITE_WRITTEN, STEP_SITE_FINISHED, STEP_RECORDED };

#define KNOWN 1024u /* return addresses whose site this process remembers */

struct sm_site_known {
    const void *k_caller;
    uint32_t k_site;
};

static uint32_t places(const struct sm_arena *a) {
    uint32_t n = sm_load_acq(&a->a_ctl->ctl_sites); /* pairs with the release in sm_site_commit */
    return n < a->a_header->h_max_sites ? n : a->a_header->h_max_sites;
}

enum sm_err sm_site_commit(struct sm_arena *a) {
    const struct sm_region_shm *r = &a->a_header->h_region[SM_R_SITES];
    if (sm_load_rlx(&a->a_ctl->ctl_sites) != 0) {
        return SM_OK;
    }
    enum sm_err err = sm_os_commit(a->a_fd, r->r_off, r->r_bytes);
    if (err != SM_OK) {
        (void)sm_os_free_space(a->a_fd, &a->a_space_bytes);
        return err;
    }
    sm_crash_point(a, STEP_SITES_COMMITTED); /* memory that nobody uses yet; the next one commits it again */
    sm_store_rel(&a->a_ctl->ctl_sites, a->a_header->h_max_sites);
    return SM_OK;
}

/* ---------------------------------------------------------------- the table */

static uint32_t hash_of(const char *text) {
    uint64_t sum = 0xcbf29ce484222325ull; /* FNV-1a */
    for (; *text; text++) {
        sum = (sum ^ (uint8_t)*text) * 0x100000001b3ull;
    }
    return (uint32_t)(sum ^ sum >> 32);
}

/* Has whoever marked this place gone without finishing? Its slot is free or another's, or its process is dead. */
static bool writer_gone(const struct sm_arena *a, uint64_t w) {
    uint32_t cpu = SM_SITE_CPU(w);
    if (cpu >= a->a_header->h_max_cpus) {
        return true;
    }
    const struct sm_cpu_shm *c = &a->a_cpus[cpu];
    return sm_load_acq(&c->cpu_state) == SM_CPU_FREE || (uint16_t)sm_load_rlx(&c->cpu_gen) != SM_SITE_GEN(w) ||
           !sm_cpu_alive(a, cpu);
}

/* Whether this place holds the text, now or from now on. */
static bool place_take(struct sm_arena *a, struct sm_site_shm *s, const char *line, uint32_t hash) {
    uint64_t mine = SM_SITE_WORD(SM_SITE_WRITING, a->a_cpu_id, a->a_cpu->cpu_gen, hash);
    uint64_t w = sm_load_acq(&s->si_word); /* pairs with the release below: finished means that the text is there */
    do {
        if (SM_SITE_KIND(w) == SM_SITE_FINISHED) {
            return SM_SITE_HASH(w) == hash && memcmp(s->si_text, line, SM_SITE_TEXT) == 0;
        }
        if (w != 0 && (SM_SITE_KIND(w) != SM_SITE_WRITING || !writer_gone(a, w))) {
            return false; /* somebody else is at it, perhaps with this very text: then there will be two */
        }
    } while (!sm_cas(&s->si_word, &w, mine));
    sm_crash_point(a, STEP_SITE_WON);
    memcpy(s->si_text, line, SM_SITE_TEXT);
    sm_crash_point(a, STEP_SITE_WRITTEN);
    sm_store_rel(&s->si_word, SM_SITE_WORD(SM_SITE_FINISHED, 0, 0, hash));
    sm_crash_point(a, STEP_SITE_FINISHED);
    return true;
}

static void say_full(struct sm_arena *a, uint32_t n) {
    uint32_t told = 0;
    if (sm_load_rlx(&a->a_ctl->ctl_sites_full) == 0 && sm_cas(&a->a_ctl->ctl_sites_full, &told, 1)) {
        sm_event_log(a, SM_EV_WARNING,
                     "all %u places for allocation sites are taken: new sites are recorded as \"(table full)\"; create "
                     "the arena with a larger max_sites",
                     n);
    }
}

enum sm_err sm_site_intern(struct sm_arena *a, const char *text, uint32_t *site) {
    char line[SM_SITE_TEXT] = {0};
    enum sm_err err;
    if (text == NULL || text[0] == 0) {
        return SM_INVALID;
    }
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    uint32_t n = places(a);
    if (n == 0) {
        return SM_NOT_FOUND;
    }
    if (a->a_cpu == &a->a_orphan && (err = a->a_ensure(a)) != SM_OK) {
        return err;
    }
    memcpy(line, text, strnlen(text, SM_SITE_TEXT - 1));
    uint32_t hash = hash_of(line);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)(((uint64_t)hash + i) % n);
        if (place_take(a, &a->a_sites[at], line, hash)) {
            *site = at + 1;
            return SM_OK;
        }
    }
    say_full(a, n);
    *site = SM_SITE_FULL;
    return SM_OK;
}

bool sm_site_text(const struct sm_arena *a, uint32_t site, char *out) {
    memset(out, 0, SM_SITE_TEXT);
    if (site == SM_SITE_FULL) {
        strcpy(out, "(table full)");
        return true;
    }
    if (site == SM_SITE_NONE || site > places(a)) {
        return false;
    }
    const struct sm_site_shm *s = &a->a_sites[site - 1];
    if (SM_SITE_KIND(sm_load_acq(&s->si_word)) != SM_SITE_FINISHED) { /* pairs with the release in place_take */
        return false;
    }
    memcpy(out, s->si_text, SM_SITE_TEXT - 1);
    return out[0] != 0;
}

/* ---------------------------------------------------------------- whose allocation this is */

enum sm_err sm_site_set(struct sm_arena *a, uint32_t site) {
    char text[SM_SITE_TEXT];
    if (site != SM_SITE_NONE && !sm_site_text(a, site, text)) {
        return SM_INVALID;
    }
    a->a_site = site;
    return SM_OK;
}

bool sm_site_due(const struct sm_arena *a) {
    int64_t every = sm_tunable_get(a, SM_TU_SITES);
    return every > 0 && (a->a_site_turn + 1) % (uint64_t)every == 0;
}

/* Named once and then remembered; two addresses that share a place in the memory push each other out. */
static uint32_t site_of_address(struct sm_arena *a, const void *caller) {
    char text[SM_SITE_TEXT];
    uint32_t site = SM_SITE_FULL;
    if (a->a_site_known == NULL && (a->a_site_known = calloc(KNOWN, sizeof *a->a_site_known)) == NULL) {
        return SM_SITE_NONE;
    }
    struct sm_site_known *k = &a->a_site_known[((uintptr_t)caller * 0x9e3779b97f4a7c15ull >> 32) % KNOWN];
    if (k->k_caller == caller) {
        return k->k_site;
    }
    sm_os_symbol(caller, text, sizeof text);
    if (sm_site_intern(a, text, &site) != SM_OK) {
        return SM_SITE_NONE;
    }
    *k = (struct sm_site_known){caller, site};
    return site;
}

uint32_t sm_site_here(struct sm_arena *a, const void *caller) {
    bool due = sm_site_due(a) && a->a_writable;
    a->a_site_turn++;
    if (!due) {
        return SM_SITE_NONE;
    }
    return a->a_site != SM_SITE_NONE ? a->a_site : site_of_address(a, caller);
}

void sm_site_record(struct sm_arena *a, sm_off_t item, uint32_t site) {
    struct sm_slab_ref s;
    struct sm_trace_shm *t = sm_slab_find(a, item, &s) == SM_OK ? sm_slab_trace(a, &s) : NULL;
    if (t == NULL) {
        return;
    }
    bool any = site != SM_SITE_NONE; /* what is not recorded must not leave the record of the item's former life */
    sm_store_rlx(&t->tr_pid, any ? a->a_cpu->cpu_pid : 0);
    sm_store_rlx(&t->tr_time_ns, any ? sm_os_wall_ns() : 0);
    /* Release: who reads this number finds the site finished; pairs with the acquire in who.c and check_sites.c. */
    sm_store_rel(&t->tr_site, site);
    sm_crash_point(a, STEP_RECORDED);
}
