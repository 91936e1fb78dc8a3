/* arena.c - the region directory of a mapped arena. Takes the admin lock to add a companion's region.
 * The life of an attachment is attach.c, placement and verification are arena_format.c.
 */
#include "arena.h"

#include <string.h>

#include "base/assert.h"
#include "quiesce.h"

enum region_step { STEP_REGION_CHARGED = 0x420, STEP_REGION_NAMED };

static bool region_is(const struct sm_region_shm *r, const char *name) {
    return r->r_bytes != 0 && strncmp(r->r_name, name, sizeof r->r_name) == 0;
}

enum sm_err sm_arena_find_region(const struct sm_arena *a, const char *name, uint64_t *off, uint64_t *bytes,
                                 uint32_t *version) {
    for (int i = 0; i < SM_MAX_REGIONS; i++) {
        struct sm_region_shm r = a->a_header->h_region[i];
        if (region_is(&r, name)) {
            SM_CHECK(r.r_off < a->a_bytes && r.r_bytes <= a->a_bytes - r.r_off);
            *off = r.r_off;
            *bytes = r.r_bytes;
            *version = r.r_version;
            return SM_OK;
        }
    }
    return SM_NOT_FOUND;
}

static enum sm_err region_make(struct sm_arena *a, const char *name, uint64_t bytes, uint32_t version) {
    const struct sm_region_shm *extra = &a->a_header->h_region[SM_R_EXTRA];
    struct sm_region_shm r = {
        .r_off = extra->r_off + a->a_ctl->ctl_extra_next,
        .r_bytes = (bytes + SM_PAGE - 1) & ~(SM_PAGE - 1),
        .r_version = version,
    };
    int i = SM_R_FIXED;
    while (i < SM_MAX_REGIONS && a->a_header->h_region[i].r_bytes != 0) {
        i++;
    }
    if (i == SM_MAX_REGIONS || r.r_bytes > extra->r_bytes - a->a_ctl->ctl_extra_next) {
        return SM_TABLE_FULL;
    }
    enum sm_err err = sm_os_commit(a->a_fd, r.r_off, r.r_bytes);
    if (err != SM_OK) {
        (void)sm_os_free_space(a->a_fd, &a->a_space_bytes);
        return err;
    }
    strncpy(r.r_name, name, sizeof r.r_name - 1);
    a->a_ctl->ctl_extra_next += r.r_bytes; /* A crash here loses address space of the extra region, no more. */
    sm_crash_point(a, STEP_REGION_CHARGED);
    uint64_t size = r.r_bytes;
    r.r_bytes = 0;
    a->a_header->h_region[i] = r;
    sm_crash_point(a, STEP_REGION_NAMED);
    sm_store_rel(&a->a_header->h_region[i].r_bytes, size); /* publishes the entry: finders look at the size first */
    return SM_OK;
}

enum sm_err sm_arena_region(struct sm_arena *a, const char *name, uint64_t bytes, uint32_t version, void **mem) {
    uint64_t off = 0, have = 0;
    uint32_t have_version = 0;
    if (name == NULL || name[0] == 0 || bytes == 0) {
        return SM_INVALID;
    }
    if (strlen(name) >= sizeof a->a_header->h_region[0].r_name) {
        return SM_NAME_TOO_LONG;
    }
    enum sm_err err = sm_admin_enter(a);
    if (err == SM_OK) {
        err = sm_arena_find_region(a, name, &off, &have, &have_version);
        if (err == SM_NOT_FOUND && (err = region_make(a, name, bytes, version)) == SM_OK) {
            err = sm_arena_find_region(a, name, &off, &have, &have_version);
        }
        sm_admin_leave(a);
    }
    if (err == SM_OK && (have < bytes || have_version != version)) {
        return SM_MISMATCH;
    }
    if (err == SM_OK) {
        *mem = a->a_base + off;
    }
    return err;
}

enum sm_err sm_arena_announce(struct sm_arena *a, uint32_t flags, bool armed) {
    if (flags & ~SM_ARENA_COMPANIONS) {
        return SM_INVALID;
    }
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    if (armed) { /* the region before the flag: who reads the flag finds the entry point; pairs with companion_entry */
        (void)sm_or_acqrel(&a->a_header->h_flags, flags);
    } else {
        (void)sm_and_acqrel(&a->a_header->h_flags, ~flags);
    }
    return SM_OK;
}

enum sm_err sm_fault_armed(struct sm_arena *a, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    enum sm_err err = a->a_hooks.h_fault(a->a_hooks.h_fault_ctx, p, zone, bytes, flags);
    if (p == SM_FP_ALLOC) { /* a new attempt: what fails from here on is no more what failed before */
        memset(a->a_forced, 0, sizeof a->a_forced);
    } else if (p == SM_FP_PAGE) {
        a->a_forced[SM_NO_MEMORY] = 0;
    }
    if (err != SM_OK && (unsigned)err < SM_ERR_COUNT) {
        a->a_forced[err] = (uint16_t)(p + 1);
    }
    return err;
}
