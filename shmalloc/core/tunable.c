/* tunable.c - the catalogue of tunables and the setting of one. Takes the quiesce lock for those that change how every
 * CPU allocates, and no other. Source: sysctl(9).
 */
#include "tunable.h"

#include <string.h>

#include "quiesce.h"

const struct sm_tunable_info sm_tunable_info[SM_TU_COUNT] = {
#define SM_TU_INFO(id, name, dflt, least, most, text) {name, text, dflt, least, most},
    SM_TUNABLE_LIST(SM_TU_INFO)
#undef SM_TU_INFO
};
_Static_assert(SM_TU_COUNT <= SM_TUNABLES, "the control page has a place for every tunable");

#define SM_TU_RANGE(id, name, dflt, least, most, text) _Static_assert((least) <= (dflt) && (dflt) <= (most), name);
SM_TUNABLE_LIST(SM_TU_RANGE)
#undef SM_TU_RANGE

/* Raises or lowers SM_CLAIM_POLICY on every CPU, so that its fast path gives way to the slow one, which looks at the
 * tunables. A CPU that attaches later starts from ctl_policy. Crash anywhere: ctl_policy says what was wanted, some
 * CPUs do not follow it yet; setting the tunable again puts that right. */
static enum sm_err policy_apply(struct sm_arena *a) {
    enum sm_err err = sm_quiesce_begin(a);
    if (err != SM_OK) {
        return err;
    }
    bool slow = sm_tunable_get(a, SM_TU_NOSLEEP) != 0 || sm_tunable_get(a, SM_TU_FAIL_RATE) != 0;
    sm_store_rel(&a->a_ctl->ctl_policy, slow);
    for (uint32_t i = 0; i < a->a_header->h_max_cpus; i++) {
        struct sm_cpu_shm *c = &a->a_cpus[i];
        if (sm_load_acq(&c->cpu_state) == SM_CPU_FREE) {
            continue;
        }
        if (slow) {
            sm_or_acqrel(&c->cpu_claim, SM_CLAIM_POLICY);
        } else {
            sm_and_acqrel(&c->cpu_claim, ~SM_CLAIM_POLICY);
        }
    }
    sm_quiesce_end(a);
    return SM_OK;
}

enum sm_err sm_tunable_set(struct sm_arena *a, enum sm_tunable t, int64_t value) {
    if ((unsigned)t >= SM_TU_COUNT || value < sm_tunable_info[t].ti_least || value > sm_tunable_info[t].ti_most) {
        return SM_INVALID;
    }
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    sm_store_rlx(&a->a_ctl->ctl_tunable[t], value);
    return t == SM_TU_NOSLEEP || t == SM_TU_FAIL_RATE ? policy_apply(a) : SM_OK;
}

enum sm_err sm_tunable_find(const char *name, enum sm_tunable *t) {
    for (unsigned i = 0; name != NULL && i < SM_TU_COUNT; i++) {
        if (strcmp(sm_tunable_info[i].ti_name, name) == 0) {
            *t = (enum sm_tunable)i;
            return SM_OK;
        }
    }
    return SM_NOT_FOUND;
}

void sm_tunable_format(struct sm_arena *a) {
    for (unsigned i = 0; i < SM_TU_COUNT; i++) {
        sm_store_rlx(&a->a_ctl->ctl_tunable[i], sm_tunable_info[i].ti_default);
    }
}
