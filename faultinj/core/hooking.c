/* hooking.c - from an arena's hooks to fi_reach, and from a verdict to the core's error codes. Takes no lock: it is called
 * with the core's locks held.
 */
#include "hooking.h"

#include <errno.h>

#include "act.h"
#include "reach.h"

static const struct {
    int number;
    enum sm_err err;
} errnos[] = {
    {ENOMEM, SM_NO_MEMORY},
    {ENOSPC, SM_NO_MEMORY},
    {EAGAIN, SM_LIMIT},
    {ETIMEDOUT, SM_TIMEOUT},
    {EINTR, SM_INTERRUPTED},
    {ENOENT, SM_NOT_FOUND},
    {EEXIST, SM_EXISTS},
    {EINVAL, SM_INVALID},
    {EBUSY, SM_BUSY},
    {EPERM, SM_PERMISSION},
    {EACCES, SM_PERMISSION},
    {ENOSYS, SM_UNSUPPORTED},
    {EDEADLK, SM_DEADLOCK},
    {EROFS, SM_READ_ONLY},
    {ENOBUFS, SM_NO_MEMORY},
    {ENAMETOOLONG, SM_NAME_TOO_LONG},
    {EIO, SM_OS},
};

int fi_core_errno(unsigned place) {
    return place < sizeof errnos / sizeof *errnos ? errnos[place].number : 0;
}

enum sm_err fi_core_error(const struct fi_block *b, uint32_t point, uint32_t code, int64_t number) {
    switch ((enum fi_code)code) {
    case FI_C_DEFAULT:
        return (enum sm_err)b->b_points[point].p_error;
    case FI_C_SM:
    case FI_C_NUMBER:
        return number > SM_OK && number < SM_ERR_COUNT ? (enum sm_err)number : SM_OK;
    case FI_C_ERRNO:
        for (unsigned i = 0; i < sizeof errnos / sizeof *errnos; i++) {
            if (errnos[i].number == number) {
                return errnos[i].err;
            }
        }
        break;
    }
    return SM_OK;
}

static __attribute__((noinline)) enum sm_err happens(struct fi_block *b, const struct fi_verdict *v) {
    fi_act(b, v);
    return v->v_action == FI_A_RETURN ? fi_core_error(b, v->v_point, v->v_code, v->v_number) : SM_OK;
}

static enum sm_err on_fault(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    struct fi_hooking *k = ctx;
    struct fi_request q = {
        .q_subject = zone, .q_bytes = bytes, .q_flags = flags, .q_cpu = k->k_cpu, .q_arena = k->k_arena};
    struct fi_verdict v;
    if (sm_unlikely(flags & SM_HOOK_FORCED)) {
        fi_reach_forced(k->k_block, (uint32_t)point, &q);
        return SM_OK;
    }
    return sm_unlikely(fi_reach(k->k_block, (uint32_t)point, &q, &v)) ? happens(k->k_block, &v) : SM_OK;
}

static void on_crash(void *ctx, uint32_t step) {
    struct fi_hooking *k = ctx;
    struct fi_request q = {.q_step = step, .q_cpu = k->k_cpu, .q_arena = k->k_arena};
    struct fi_verdict v;
    if (sm_unlikely(fi_reach_crash(k->k_block, &q, &v))) {
        (void)happens(k->k_block, &v);
    }
}

void fi_hooking_table(struct fi_hooking *k, struct sm_hooks *out) {
    *out = (struct sm_hooks){
        .h_version = SM_HOOKS_VERSION, .h_mask = FI_HOOKS, .h_ctx = k, .h_fault = on_fault, .h_crash = on_crash};
}
