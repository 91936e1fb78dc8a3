/* check_sites.c - I17: the table of allocation sites, and the trace records that name them.
 * Owns nothing; reads places only as far as the table is committed. Source: layout.h, SITE and TRACE RECORD.
 */
#include "check_ctx.h"

#include <string.h>

/* The hash that site.c gives a text; the checker counts it for itself. */
static uint32_t hash_of(const char *text) {
    uint64_t sum = 0xcbf29ce484222325ull; /* FNV-1a */
    for (uint32_t i = 0; i < SM_SITE_TEXT && text[i]; i++) {
        sum = (sum ^ (uint8_t)text[i]) * 0x100000001b3ull;
    }
    return (uint32_t)(sum ^ sum >> 32);
}

static uint32_t places(struct sm_check *c) {
    uint32_t n = sm_load_acq(&c->c_ctl->ctl_sites), most = c->c_header.h_max_sites;
    if (n != 0 && n != most) {
        sm_check_found(c, 17, "%u places for sites are committed, not 0 or %u", n, most);
    }
    return n < most ? n : most;
}

static void check_site(struct sm_check *c, uint32_t id) {
    const struct sm_site_shm *s = &c->c_sites[id - 1];
    uint64_t w = sm_load_acq(&s->si_word); /* pairs with the release in site.c */
    uint32_t kind = SM_SITE_KIND(w);
    if (kind > SM_SITE_FINISHED || (kind == 0 && w != 0)) {
        sm_check_found(c, 17, "site %u: its word %#llx has no legal kind", id, (unsigned long long)w);
        return;
    }
    if (kind == SM_SITE_WRITING && SM_SITE_CPU(w) >= c->c_header.h_max_cpus) {
        sm_check_found(c, 17, "site %u is being written by cpu %u of %u", id, SM_SITE_CPU(w), c->c_header.h_max_cpus);
    }
    if (kind != SM_SITE_FINISHED) {
        return;
    }
    if (s->si_text[0] == 0 || memchr(s->si_text, 0, SM_SITE_TEXT) == NULL) {
        sm_check_found(c, 17, "site %u: its text is empty or has no end", id);
    } else if (hash_of(s->si_text) != SM_SITE_HASH(w)) {
        sm_check_found(c, 17, "site %u: its text has the hash %#x, its word says %#x", id, hash_of(s->si_text),
                       SM_SITE_HASH(w));
    }
}

static void check_records(struct sm_check *c, const struct sm_check_slab *s, uint32_t n) {
    for (uint32_t i = 0; i < s->s_items; i++) {
        uint32_t site = sm_load_acq(&s->s_trace[i].tr_site); /* pairs with the release in sm_site_record */
        if (site == SM_SITE_NONE || site == SM_SITE_FULL) {
            continue;
        }
        if (site > n || SM_SITE_KIND(sm_load_acq(&c->c_sites[site - 1].si_word)) != SM_SITE_FINISHED) {
            sm_check_found(c, 17, "item %#llx was allocated at site %u, which %s",
                           (unsigned long long)sm_check_item_off(c, s, i), site,
                           site > n ? "is none" : "is not finished");
        }
    }
}

enum sm_err sm_check_i17(struct sm_check *c) {
    uint32_t n = places(c);
    for (uint32_t id = 1; id <= n; id++) {
        check_site(c, id);
    }
    for (uint32_t s = 0; s < c->c_slabs; s++) {
        if (c->c_slab[s].s_trace != NULL) {
            check_records(c, &c->c_slab[s], n);
        }
    }
    for (uint32_t z = 0; z < c->c_header.h_max_zones; z++) {
        uint32_t keg = sm_check_zone_live(c, z) ? sm_load_rlx(&c->c_zones[z].z_keg) : c->c_header.h_max_zones;
        if (keg < c->c_header.h_max_zones && c->c_keg[keg].k_sane) {
            bool zone_says = sm_load_rlx(&c->c_zones[z].z_flags) & SM_ZONE_TRACE, keg_has = c->c_keg[keg].k_trace_off;
            if (zone_says != keg_has) {
                sm_check_found(c, 17, "zone %u is %straced, its keg %u has %s trace records", z,
                               zone_says ? "" : "not ", keg, keg_has ? "" : "no");
            }
        }
    }
    return SM_OK;
}
