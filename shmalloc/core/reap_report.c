/* reap_report.c - what recovery did, for people: one event for each death, and the figures of the report. Runs with the
 * world going again, but for the noting of who died. Takes no lock.
 */
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "reap_impl.h"

const char *sm_reap_op_name(uint64_t opword) {
    static const char *const names[SM_OP_END] = {
        [SM_OP_NONE] = "nothing",
        [SM_OP_ALLOC] = "an allocation",
        [SM_OP_FREE] = "a free",
        [SM_OP_SLOW] = "moving items between buckets, slabs and pages",
        [SM_OP_PUT] = "a put into a queue",
        [SM_OP_GET] = "a get from a queue",
        [SM_OP_XFER] = "a ticket or an adoption",
        [SM_OP_ADMIN] = "a change of the arena's tables",
        [SM_OP_LOCK] = "taking or giving back a lock",
    };
    const char *name = SM_OP_OF(opword) < SM_OP_END ? names[SM_OP_OF(opword)] : NULL;
    return name ? name : "an unknown operation";
}

void sm_reap_note_cpu(struct sm_reap_job *j, uint32_t cpu) {
    const struct sm_cpu_shm *c = &j->rj_arena->a_cpus[cpu];
    if (j->rj_report.rr_cpus < SM_REAP_CPUS) {
        struct sm_reap_cpu *rc = &j->rj_report.rr_cpu[j->rj_report.rr_cpus];
        rc->rc_cpu = cpu;
        rc->rc_pid = c->cpu_pid;
        memcpy(rc->rc_name, c->cpu_name, sizeof rc->rc_name);
        rc->rc_name[sizeof rc->rc_name - 1] = 0;
        rc->rc_op = sm_load_rlx(&c->cpu_op);
        rc->rc_op_arg = sm_load_rlx(&c->cpu_op_arg);
        rc->rc_attached_ns = c->cpu_attached_ns;
    }
    j->rj_report.rr_cpus++;
}

static void name_zones(struct sm_reap_job *j) {
    struct sm_reap_report *r = &j->rj_report;
    for (uint32_t id = 0; id < j->rj_arena->a_header->h_max_zones && r->rr_zones < SM_REAP_ZONES; id++) {
        if (j->rj_freed[id] > 0) {
            struct sm_reap_zone *rz = &r->rr_zone[r->rr_zones++];
            memcpy(rz->rz_name, j->rj_arena->a_zones[id].z_name, sizeof rz->rz_name);
            rz->rz_name[sizeof rz->rz_name - 1] = 0;
            rz->rz_freed = j->rj_freed[id];
        }
    }
}

void sm_reap_tell(struct sm_reap_job *j) {
    const struct sm_reap_report *r = &j->rj_report;
    name_zones(j);
    for (uint32_t i = 0; i < r->rr_cpus && i < SM_REAP_CPUS; i++) {
        const struct sm_reap_cpu *rc = &r->rr_cpu[i];
        sm_event_log(j->rj_arena, SM_EV_RECOVERY, "CPU %u (pid %u, %s) died during %s", rc->rc_cpu, rc->rc_pid,
                     rc->rc_name[0] ? rc->rc_name : "no name", sm_reap_op_name(rc->rc_op));
    }
    if (r->rr_cpus > 0) {
        sm_event_log(j->rj_arena, SM_EV_RECOVERY,
                     "%u dead CPU(s) reaped: %llu items freed, %llu kept, %llu operations undone, %llu requeued; "
                     "world stopped %lld us, %lld us in all",
                     r->rr_cpus, (unsigned long long)r->rr_freed, (unsigned long long)r->rr_kept,
                     (unsigned long long)r->rr_undone, (unsigned long long)r->rr_requeued,
                     (long long)(r->rr_stopped_ns / 1000), (long long)(r->rr_total_ns / 1000));
    }
}
