/* sockbuf.c - socket buffers by name: table, limits, and the way in and out of one. Takes the admin lock for the table and
 * sb_lock for the contents, in this order. After uipc_sockbuf.c.
 *
 * A place in the table lives many times: sb_gen counts. Its lock is formatted once, because a handle of an earlier life
 * may be on its way into it at any time: it gets in, sees the generation and leaves.
 */
#include "sockbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "sockbuf_impl.h"

enum sockbuf_step {
    STEP_SOCKBUF_LOCK = 0x8e0,
    STEP_SOCKBUF_FILLED,
    STEP_SOCKBUF_MADE,
    STEP_SOCKBUF_GOING,
    STEP_SOCKBUF_GONE,
    STEP_SOCKBUF_RESERVED
};

#define NAME_WORDS (SM_NAME_BYTES / sizeof(uint64_t))
union sockbuf_name { /* read while the place may get its next life: by words */
    char text[SM_NAME_BYTES];
    uint64_t words[NAME_WORDS];
};

static void name_read(const struct sm_sockbuf_shm *s, union sockbuf_name *out) {
    for (size_t w = 0; w < NAME_WORDS; w++) {
        out->words[w] = sm_load_rlx((const uint64_t *)(const void *)s->sb_name + w);
    }
    out->text[SM_NAME_BYTES - 1] = 0;
}

static void name_write(struct sm_sockbuf_shm *s, const char *name) {
    union sockbuf_name padded = {.words = {0}};
    memcpy(padded.text, name, strlen(name));
    for (size_t w = 0; w < NAME_WORDS; w++) {
        sm_store_rlx((uint64_t *)(void *)s->sb_name + w, padded.words[w]);
    }
}

static enum sm_err name_check(const char *name) {
    if (name == NULL || name[0] == 0) {
        return SM_INVALID;
    }
    return strnlen(name, SM_NAME_BYTES) < SM_NAME_BYTES ? SM_OK : SM_NAME_TOO_LONG;
}

static bool find(const struct sm_mb *mb, const char *name, uint32_t *id, uint32_t *gen) {
    for (uint32_t i = 0; i < SM_SOCKBUFS; i++) {
        const struct sm_sockbuf_shm *s = &mb->mb_shm->mb_sockbuf[i];
        union sockbuf_name have;
        *gen = sm_load_acq(&s->sb_gen);
        if (sm_load_acq(&s->sb_state) != SM_ZONE_LIVE) { /* pairs with the release in make */
            continue;
        }
        name_read(s, &have);
        sm_full_fence(); /* the name before the second look; pairs with the one in make */
        if (strcmp(have.text, name) == 0 && sm_load_acq(&s->sb_gen) == *gen) {
            *id = i;
            return true;
        }
    }
    return false;
}

static enum sm_err handle_new(struct sm_mb *mb, uint32_t id, uint32_t gen, struct sm_sockbuf **out) {
    struct sm_sockbuf *sb = calloc(1, sizeof *sb);
    if (sb == NULL) {
        return SM_NO_MEMORY;
    }
    *sb = (struct sm_sockbuf){.sb_mbufs = mb, .sb_shm = &mb->mb_shm->mb_sockbuf[id], .sb_id = id, .sb_life = gen};
    *out = sb;
    return SM_OK;
}

static bool gone(const struct sm_sockbuf *sb) {
    return sm_load_acq(&sb->sb_shm->sb_gen) != sb->sb_life || sm_load_rlx(&sb->sb_shm->sb_state) != SM_ZONE_LIVE;
}

/* ---------------------------------------------------------------- in and out */

enum sm_err sm_sockbuf_enter(struct sm_sockbuf *sb) {
    struct sm_arena *a = sm_sockbuf_arena(sb);
    enum sm_err err;
    int tries = 0;
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    do {
        if (gone(sb)) {
            return SM_GONE;
        }
        if ((err = sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0))) != SM_OK) {
            return err;
        }
        if ((err = sm_arena_lock(a, &sb->sb_shm->sb_lock, SM_LC_SOCKBUF, sb->sb_id)) == SM_OK) {
            if (!gone(sb)) {
                return SM_OK;
            }
            sm_sockbuf_leave(sb);
            return SM_GONE;
        }
        sm_op_leave(a);
    } while (sm_op_again(a, &err, &tries));
    return err;
}

void sm_sockbuf_leave(struct sm_sockbuf *sb) {
    struct sm_arena *a = sm_sockbuf_arena(sb);
    sm_arena_unlock(a, &sb->sb_shm->sb_lock, SM_LC_SOCKBUF, sb->sb_id);
    sm_op_leave(a);
}

enum sm_err sm_sockbuf_damaged(const struct sm_sockbuf *sb, const char *fmt, ...) {
    char text[160];
    union sockbuf_name name;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    name_read(sb->sb_shm, &name);
    sm_event_log(sm_sockbuf_arena(sb), SM_EV_WARNING, "[sockbuf: %s] %s", name.text, text);
    return SM_CORRUPT;
}

/* ---------------------------------------------------------------- limits */

static enum sm_err limits_check(const struct sm_mb *mb, uint64_t hiwat, uint64_t *mbmax) {
    uint64_t most = mb->mb_arena->a_data_pages << SM_PAGE_SHIFT;
    if (hiwat == 0 || hiwat > most || *mbmax > most) {
        return SM_INVALID;
    }
    if (*mbmax == 0) {
        *mbmax = hiwat > most / SB_EFFICIENCY ? most : hiwat * SB_EFFICIENCY;
        *mbmax = *mbmax < MSIZE ? MSIZE : *mbmax;
    }
    return SM_OK;
}

enum sm_err sbreserve(struct sm_sockbuf *sb, uint64_t hiwat, uint64_t mbmax) {
    enum sm_err err = limits_check(sb->sb_mbufs, hiwat, &mbmax);
    if (err != SM_OK || (err = sm_sockbuf_enter(sb)) != SM_OK) {
        return err;
    }
    sm_store_rlx(&sb->sb_shm->sb_hiwat, hiwat);
    sm_crash_point(sm_sockbuf_arena(sb), STEP_SOCKBUF_RESERVED); /* leaves one limit new: each holds by itself */
    sm_store_rlx(&sb->sb_shm->sb_mbmax, mbmax);
    sm_sockbuf_leave(sb);
    sm_sockbuf_wake(sb, SB_SPACE);
    return SM_OK;
}

uint64_t sbspace(const struct sm_sockbuf *sb) {
    return gone(sb) ? 0 : sm_sockbuf_room(sb->sb_shm);
}

uint64_t sbused(const struct sm_sockbuf *sb) {
    return gone(sb) ? 0 : sm_load_rlx(&sb->sb_shm->sb_cc);
}

/* ---------------------------------------------------------------- by name */

/* Admin lock held. A crash before the last store leaves a FREE place that is filled again. */
static enum sm_err make(struct sm_mb *mb, const char *name, uint64_t hiwat, uint64_t mbmax, uint32_t *id,
                        uint32_t *gen) {
    struct sm_sockbuf_shm *s = mb->mb_shm->mb_sockbuf;
    uint32_t i = 0;
    while (i < SM_SOCKBUFS && sm_load_rlx(&s[i].sb_state) != SM_ZONE_FREE) {
        i++;
    }
    if (i == SM_SOCKBUFS) {
        return SM_TABLE_FULL;
    }
    s += i;
    enum sm_err err = sm_load_rlx(&s->sb_gen) == 0 ? sm_lock_format(&s->sb_lock) : SM_OK;
    if (err != SM_OK) {
        return err;
    }
    sm_crash_point(mb->mb_arena, STEP_SOCKBUF_LOCK);
    *gen = s->sb_gen + 1 == 0 ? 1 : s->sb_gen + 1;
    sm_store_rel(&s->sb_gen, *gen); /* behind the formatted lock */
    sm_full_fence(); /* the new generation before the new name; pairs with the one in find */
    name_write(s, name);
    s->sb_mb = s->sb_mbtail = s->sb_lastrecord = 0;
    sm_store_rlx(&s->sb_cc, 0);
    sm_store_rlx(&s->sb_mbcnt, 0);
    sm_store_rlx(&s->sb_hiwat, hiwat);
    sm_store_rlx(&s->sb_mbmax, mbmax);
    sm_crash_point(mb->mb_arena, STEP_SOCKBUF_FILLED);
    sm_store_rel(&s->sb_state, SM_ZONE_LIVE); /* publishes all of it; pairs with the acquire in find */
    sm_crash_point(mb->mb_arena, STEP_SOCKBUF_MADE);
    *id = i;
    return SM_OK;
}

enum sm_err sm_sockbuf_create(struct sm_mb *mb, const char *name, uint64_t hiwat, uint64_t mbmax,
                              struct sm_sockbuf **out) {
    uint32_t id = 0, gen = 0;
    enum sm_err err = name_check(name);
    if (err != SM_OK || (err = limits_check(mb, hiwat, &mbmax)) != SM_OK) {
        return err;
    }
    if (!mb->mb_arena->a_writable) {
        return SM_READ_ONLY;
    }
    if ((err = sm_admin_enter(mb->mb_arena)) == SM_OK) {
        err = find(mb, name, &id, &gen) ? SM_EXISTS : make(mb, name, hiwat, mbmax, &id, &gen);
        sm_admin_leave(mb->mb_arena);
    }
    return err == SM_OK ? handle_new(mb, id, gen, out) : err;
}

enum sm_err sm_sockbuf_open(struct sm_mb *mb, const char *name, struct sm_sockbuf **out) {
    uint32_t id = 0, gen = 0;
    enum sm_err err = name_check(name);
    if (err != SM_OK) {
        return err;
    }
    return find(mb, name, &id, &gen) ? handle_new(mb, id, gen, out) : SM_NOT_FOUND;
}

void sm_sockbuf_close(struct sm_sockbuf *sb) {
    free(sb);
}

/* Both locks held. */
static enum sm_err unmake(struct sm_sockbuf *sb) {
    struct sm_sockbuf_shm *s = sb->sb_shm;
    struct sm_arena *a = sm_sockbuf_arena(sb);
    if (gone(sb)) {
        return SM_GONE;
    }
    if (s->sb_mb != 0) {
        return SM_BUSY;
    }
    sm_store_rel(&s->sb_gen, sb->sb_life + 1 == 0 ? 1 : sb->sb_life + 1);
    sm_crash_point(a, STEP_SOCKBUF_GOING); /* leaves a LIVE, empty sockbuf of that name that no old handle opens */
    sm_store_rel(&s->sb_state, SM_ZONE_FREE);
    sm_crash_point(a, STEP_SOCKBUF_GONE);
    return SM_OK;
}

enum sm_err sm_sockbuf_destroy(struct sm_sockbuf *sb) {
    struct sm_arena *a = sm_sockbuf_arena(sb);
    enum sm_err err;
    int tries = 0;
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    do {
        if (gone(sb)) {
            return SM_GONE;
        }
        if ((err = sm_admin_enter(a)) != SM_OK) {
            return err;
        }
        if ((err = sm_arena_lock(a, &sb->sb_shm->sb_lock, SM_LC_SOCKBUF, sb->sb_id)) == SM_OK) {
            err = unmake(sb);
            sm_arena_unlock(a, &sb->sb_shm->sb_lock, SM_LC_SOCKBUF, sb->sb_id);
        }
        sm_admin_leave(a);
    } while (sm_op_again(a, &err, &tries));
    if (err == SM_OK) { /* who sleeps on it finds it gone */
        sm_sockbuf_wake(sb, SB_DATA);
        sm_sockbuf_wake(sb, SB_SPACE);
    }
    return err;
}
