/* reap_report.c - what recovery did: the figures of the report, and the same in the arena's log, for whoever attaches
 * later and for dumps. Takes no lock; the world may stand still or go.
 *
 * The log's lines of kind SM_EV_RECOVERY are text of one grammar, read by recovery_log.py:
 *   died at=T cpu=N pid=N op=N did=N since=T on=NAME name=NAME       one for each death that the report names
 *   zone at=T freed=N name=NAME                                      one for each zone that it names
 *   reaped at=T by=N dead=N freed=N uncached=N kept=N undone=N requeued=N stopped=N total=N     the last one
 * T are hexadecimal nanoseconds of CLOCK_REALTIME, stopped and total decimal nanoseconds, op is enum sm_op, did enum
 * sm_reap_did, by the pid of the reaper (its CPU is the event's). `at` is when the deaths were found: found with the
 * world stopped, so no two recoveries have the same, and the lines of two that tell at one time can be told apart. A
 * NAME of printable ASCII without blanks and % stands as it is; any other is % and its bytes in hexadecimal.
 *
 * Text, and not a struct in ev_text: a person with nothing but `strings` of a dump reads it, unknown keys can be added
 * and skipped without a new layout version, and a line that a damaged object or an overtaken writer mixed up fails to
 * parse instead of giving figures. At its widest a line has 218 bytes (two names of 31 odd bytes); an event has 232.
 */
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "reap_impl.h"

#define TOLD_BYTES (2 * SM_NAME_BYTES) /* % and two digits a byte, NUL */

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

/* The record that a zone, queue or lock operation names; the others' ids mean different things at different places. */
static const char *op_object(const struct sm_arena *a, uint64_t opword) {
    uint32_t id = SM_OP_ID(opword);
    const struct sm_header_shm *h = a->a_header;
    switch (SM_OP_OF(opword)) {
    case SM_OP_ALLOC:
    case SM_OP_FREE:
    case SM_OP_XFER:
        return id < h->h_max_zones ? a->a_zones[id].z_name : NULL;
    case SM_OP_PUT:
    case SM_OP_GET:
        return id < h->h_max_queues ? a->a_queues[id].q_name : NULL;
    case SM_OP_LOCK:
        return id < SM_MAX_LOCKS ? a->a_locks[id].ul_name : NULL;
    default:
        return NULL;
    }
}

static void name_copy(char out[SM_NAME_BYTES], const char *name) {
    memcpy(out, name, SM_NAME_BYTES);
    out[SM_NAME_BYTES - 1] = 0;
}

void sm_reap_note_cpu(struct sm_reap_job *j, uint32_t cpu) {
    const struct sm_cpu_shm *c = &j->rj_arena->a_cpus[cpu];
    if (j->rj_report.rr_cpus < SM_REAP_CPUS) {
        struct sm_reap_cpu *rc = &j->rj_report.rr_cpu[j->rj_report.rr_cpus];
        rc->rc_cpu = cpu;
        rc->rc_pid = c->cpu_pid;
        rc->rc_op = sm_load_rlx(&c->cpu_op);
        rc->rc_op_arg = sm_load_rlx(&c->cpu_op_arg);
        rc->rc_attached_ns = c->cpu_attached_ns;
        rc->rc_did = SM_OP_OF(rc->rc_op) == SM_OP_NONE ? SM_REAP_NOTHING : SM_REAP_REBUILT;
        name_copy(rc->rc_name, c->cpu_name);
        const char *object = op_object(j->rj_arena, rc->rc_op);
        if (object) {
            name_copy(rc->rc_on, object);
        }
    }
    j->rj_report.rr_cpus++;
}

void sm_reap_note_did(struct sm_reap_job *j, uint32_t cpu, enum sm_reap_did did) {
    for (uint32_t i = 0; i < j->rj_report.rr_cpus && i < SM_REAP_CPUS; i++) {
        if (j->rj_report.rr_cpu[i].rc_cpu == cpu) {
            j->rj_report.rr_cpu[i].rc_did = did;
        }
    }
}

static void name_zones(struct sm_reap_job *j) {
    struct sm_reap_report *r = &j->rj_report;
    for (uint32_t id = 0; id < j->rj_arena->a_header->h_max_zones && r->rr_zones < SM_REAP_ZONES; id++) {
        if (j->rj_freed[id] > 0) {
            struct sm_reap_zone *rz = &r->rr_zone[r->rr_zones++];
            name_copy(rz->rz_name, j->rj_arena->a_zones[id].z_name);
            rz->rz_freed = j->rj_freed[id];
        }
    }
}

/* The name as the log writes it. */
static const char *told(const char *name, char out[TOLD_BYTES]) {
    size_t n = strnlen(name, SM_NAME_BYTES - 1);
    bool odd = false;
    for (size_t i = 0; i < n; i++) {
        odd |= name[i] <= ' ' || name[i] > '~' || name[i] == '%';
    }
    if (!odd) {
        memcpy(out, name, n);
        out[n] = 0;
        return out;
    }
    out[0] = '%';
    for (size_t i = 0; i < n; i++) {
        out[1 + 2 * i] = "0123456789abcdef"[(uint8_t)name[i] >> 4];
        out[2 + 2 * i] = "0123456789abcdef"[(uint8_t)name[i] & 15];
    }
    out[1 + 2 * n] = 0;
    return out;
}

void sm_reap_tell_deaths(const struct sm_reap_job *j) {
    const struct sm_reap_report *r = &j->rj_report;
    char on[TOLD_BYTES], name[TOLD_BYTES];
    for (uint32_t i = 0; i < r->rr_cpus && i < SM_REAP_CPUS; i++) {
        const struct sm_reap_cpu *rc = &r->rr_cpu[i];
        sm_event_log(j->rj_arena, SM_EV_RECOVERY, "died at=%llx cpu=%u pid=%u op=%u did=%u since=%llx on=%s name=%s",
                     (unsigned long long)r->rr_at_ns, rc->rc_cpu, rc->rc_pid, (uint32_t)SM_OP_OF(rc->rc_op),
                     (uint32_t)rc->rc_did, (unsigned long long)rc->rc_attached_ns, told(rc->rc_on, on),
                     told(rc->rc_name, name));
    }
}

void sm_reap_tell_totals(struct sm_reap_job *j) {
    const struct sm_reap_report *r = &j->rj_report;
    char name[TOLD_BYTES];
    name_zones(j);
    if (r->rr_cpus == 0) {
        return;
    }
    for (uint32_t i = 0; i < r->rr_zones; i++) {
        sm_event_log(j->rj_arena, SM_EV_RECOVERY, "zone at=%llx freed=%llu name=%s", (unsigned long long)r->rr_at_ns,
                     (unsigned long long)r->rr_zone[i].rz_freed, told(r->rr_zone[i].rz_name, name));
    }
    sm_event_log(j->rj_arena, SM_EV_RECOVERY,
                 "reaped at=%llx by=%u dead=%u freed=%llu uncached=%llu kept=%llu undone=%llu requeued=%llu "
                 "stopped=%lld total=%lld",
                 (unsigned long long)r->rr_at_ns, r->rr_by_pid, r->rr_cpus, (unsigned long long)r->rr_freed,
                 (unsigned long long)r->rr_uncached, (unsigned long long)r->rr_kept, (unsigned long long)r->rr_undone,
                 (unsigned long long)r->rr_requeued, (long long)r->rr_stopped_ns, (long long)r->rr_total_ns);
}
