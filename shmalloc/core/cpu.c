/* cpu.c - CPU slots. Takes the quiesce lock; keeps the slot's lock byte locked for as long as the attachment's
 * descriptor is open. Source: fcntl(2), open file description locks.
 */
#include "cpu.h"

#include <string.h>
#include <unistd.h>

#include "quiesce.h"

enum cpu_step { STEP_SLOT_CLEARED = 0x400, STEP_SLOT_LIVE, STEP_SLOT_LEAVING, STEP_SLOT_FREE };

bool sm_cpu_alive(const struct sm_arena *a, uint32_t cpu) {
    bool locked = false;
    if (!a->a_live || cpu == a->a_cpu_id) {
        return true; /* in a dump nobody holds a lock; our own lock does not conflict with ourselves */
    }
    return sm_os_byte_locked(a->a_fd, SM_LOCKBYTE_CPU(cpu), &locked) != SM_OK || locked;
}

uint32_t sm_cpu_count_dead(const struct sm_arena *a) {
    uint32_t dead = 0;
    for (uint32_t i = 0; i < a->a_header->h_max_cpus && i < sm_load_rlx(&a->a_ctl->ctl_cpu_high); i++) {
        dead += sm_load_acq(&a->a_cpus[i].cpu_state) != SM_CPU_FREE && !sm_cpu_alive(a, i);
    }
    return dead;
}

/* Memory of the rows that belong to one CPU: its caches and its counters of malloc types. */
static enum sm_err commit_rows(struct sm_arena *a, uint32_t cpu) {
    const struct sm_header_shm *h = a->a_header;
    const void *rows[2] = {sm_cache_of(a, cpu, 0), &a->a_type_stats[(uint64_t)cpu * h->h_max_types]};
    const uint64_t bytes[2] = {h->h_max_zones * sizeof(struct sm_cache_shm),
                               h->h_max_types * sizeof(struct sm_type_stat_shm)};
    enum sm_err err = SM_OK;
    for (int i = 0; err == SM_OK && i < 2; i++) {
        err = sm_os_commit(a->a_fd, sm_off_of(a, rows[i]), bytes[i]);
    }
    if (err != SM_OK) {
        (void)sm_os_free_space(a->a_fd, &a->a_space_bytes);
    }
    return err;
}

static void slot_take(struct sm_arena *a, uint32_t cpu) {
    struct sm_cpu_shm *c = &a->a_cpus[cpu];
    memset(sm_cache_of(a, cpu, 0), 0, a->a_header->h_max_zones * sizeof(struct sm_cache_shm));
    memset(&a->a_type_stats[(uint64_t)cpu * a->a_header->h_max_types], 0,
           a->a_header->h_max_types * sizeof(struct sm_type_stat_shm));
    sm_store_rlx(&c->cpu_op, 0);
    c->cpu_op_arg = 0;
    memset(c->cpu_wait, 0, sizeof c->cpu_wait);
    sm_store_rlx(&c->cpu_claim, a->a_ctl->ctl_policy ? SM_CLAIM_POLICY : 0);
    c->cpu_gen++;
    c->cpu_pid = (uint32_t)getpid();
    c->cpu_uid = (uint32_t)getuid();
    c->cpu_start = sm_os_start_ticks();
    c->cpu_attached_ns = sm_os_wall_ns();
    memcpy(c->cpu_name, a->a_cpu_name, sizeof c->cpu_name);
    if (a->a_ctl->ctl_cpu_high <= cpu) {
        sm_store_rel(&a->a_ctl->ctl_cpu_high, cpu + 1);
    }
    sm_crash_point(a, STEP_SLOT_CLEARED);
    /* A crash before this store leaves a FREE slot with our lock byte released by the kernel: nothing to undo.
     * After it, a LIVE slot of a dead process that owns nothing. */
    sm_store_rel(&c->cpu_state, SM_CPU_LIVE);
    sm_crash_point(a, STEP_SLOT_LIVE);
    sm_store_rlx(&a->a_ctl->ctl_attached, a->a_ctl->ctl_attached + 1);
    a->a_ctl->ctl_attaches++;
}

static enum sm_err slot_find(struct sm_arena *a, uint32_t *slot) {
    bool dead = false;
    for (uint32_t i = 0; i < a->a_header->h_max_cpus; i++) {
        bool got = false;
        if (sm_load_acq(&a->a_cpus[i].cpu_state) != SM_CPU_FREE) {
            dead = dead || !sm_cpu_alive(a, i);
            continue;
        }
        enum sm_err err = sm_os_byte_lock(a->a_fd, SM_LOCKBYTE_CPU(i), &got);
        if (err != SM_OK) {
            return err;
        }
        if (got) { /* a FREE slot may still be locked for an instant by a process on its way out */
            *slot = i;
            return SM_OK;
        }
    }
    return dead ? SM_DEAD_PEER : SM_NO_CPU;
}

enum sm_err sm_cpu_take_slot(struct sm_arena *a) {
    enum sm_err err = commit_rows(a, a->a_cpu_id);
    if (err == SM_OK) {
        slot_take(a, a->a_cpu_id);
        a->a_cpu = &a->a_cpus[a->a_cpu_id];
        a->a_epoch++;
    } else {
        (void)sm_os_byte_unlock(a->a_fd, SM_LOCKBYTE_CPU(a->a_cpu_id));
        a->a_cpu_id = SM_CPU_NONE;
    }
    return err;
}

enum sm_err sm_cpu_claim(struct sm_arena *a) {
    uint32_t slot = 0;
    enum sm_err err = sm_fault(a, SM_FP_ATTACH, NULL, 0, 0);
    if (err != SM_OK || (err = sm_quiesce_begin(a)) != SM_OK) {
        return err;
    }
    if (a->a_cpu_id == SM_CPU_NONE && (err = slot_find(a, &slot)) == SM_OK) {
        a->a_cpu_id = slot;
        err = sm_cpu_take_slot(a);
    }
    sm_quiesce_end(a);
    return err;
}

enum sm_err sm_cpu_release(struct sm_arena *a) {
    struct sm_cpu_shm *c = a->a_cpu;
    c->cpu_pid = 0;
    sm_store_rlx(&a->a_ctl->ctl_attached, a->a_ctl->ctl_attached - 1);
    sm_crash_point(a, STEP_SLOT_LEAVING);
    /* A crash here leaves a LIVE slot that owns nothing: reaped like any other. */
    sm_store_rel(&c->cpu_state, SM_CPU_FREE);
    sm_crash_point(a, STEP_SLOT_FREE);
    return sm_os_byte_unlock(a->a_fd, SM_LOCKBYTE_CPU(a->a_cpu_id));
}
