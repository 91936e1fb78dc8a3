/* userlock_table.c - users' locks by name: creation, opening, destruction, figures, and what a leaving CPU gives back.
 * Takes the admin lock for the table; destruction stops the world, because a CPU inside an attempt holds no lock.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "userlock_impl.h"

#define NAME_WORDS (SM_NAME_BYTES / sizeof(uint64_t))
union lock_name { /* names are read while their slot may get its next life: by words */
    char text[SM_NAME_BYTES];
    uint64_t words[NAME_WORDS];
};

static void name_read(const struct sm_userlock_shm *s, union lock_name *out) {
    for (size_t w = 0; w < NAME_WORDS; w++) {
        out->words[w] = sm_load_rlx((const uint64_t *)(const void *)s->ul_name + w);
    }
    out->text[SM_NAME_BYTES - 1] = 0;
}

static bool lock_find(const struct sm_arena *a, const char *name, uint32_t *id, uint32_t *gen) {
    for (uint32_t i = 0, n = sm_userlock_used(a); i < n; i++) {
        union lock_name have;
        *gen = sm_load_acq(&a->a_locks[i].ul_gen);
        if (sm_load_acq(&a->a_locks[i].ul_state) != SM_UL_LIVE) {
            continue;
        }
        name_read(&a->a_locks[i], &have);
        if (strncmp(have.text, name, SM_NAME_BYTES) == 0) {
            *id = i;
            return true;
        }
    }
    return false;
}

static enum sm_err params_check(const struct sm_arena *a, const struct sm_userlock_params *p, bool creating) {
    if (p->up_name == NULL || p->up_name[0] == 0 || p->up_kind < SM_UL_MUTEX || p->up_kind >= SM_UL_KIND_END) {
        return SM_INVALID;
    }
    if (p->up_recursive && p->up_kind != SM_UL_MUTEX) {
        return SM_INVALID;
    }
    if (p->up_kind == SM_UL_SEMAPHORE ? creating && p->up_permits == 0 : p->up_permits != 0) {
        return SM_INVALID;
    }
    if (p->up_kind != SM_UL_CONDITION
            ? p->up_mutex != NULL
            : p->up_mutex == NULL || p->up_mutex->l_kind != SM_UL_MUTEX || p->up_mutex->l_arena != a) {
        return SM_INVALID;
    }
    return strnlen(p->up_name, SM_NAME_BYTES) < SM_NAME_BYTES ? SM_OK : SM_NAME_TOO_LONG;
}

static struct sm_userlock *handle_new(struct sm_arena *a, uint32_t id, uint32_t gen) {
    struct sm_userlock *l = calloc(1, sizeof *l);
    if (l != NULL) {
        struct sm_userlock_shm *s = &a->a_locks[id];
        *l = (struct sm_userlock){
            .l_arena = a,
            .l_shm = s,
            .l_cells = sm_userlock_cells(a, id),
            .l_op = SM_OPWORD(SM_OP_LOCK, id, 0),
            .l_id = id,
            .l_gen = gen,
            .l_kind = sm_load_rlx(&s->ul_kind),
            .l_untakable = sm_load_rlx(&s->ul_kind) == SM_UL_CONDITION,
            .l_recursive = (sm_load_rlx(&s->ul_flags) & SM_UL_RECURSIVE) != 0,
        };
        l->l_face = (struct sm_userlock_face){
            .f_id = id,
            .f_gen = gen,
            .f_kind = l->l_kind,
            .f_flags = l->l_recursive ? SM_LN_RECURSIVE : 0,
            .f_permits = sm_load_rlx(&s->ul_permits),
            .f_name = s->ul_name,
        };
    }
    return l;
}

static enum sm_err handle_make(struct sm_arena *a, uint32_t id, uint32_t gen, struct sm_userlock **out) {
    struct sm_userlock *l = handle_new(a, id, gen);
    if (l == NULL) {
        return SM_NO_MEMORY;
    }
    enum sm_err err = SM_OK;
    if (l->l_kind < SM_UL_MUTEX || l->l_kind >= SM_UL_KIND_END) {
        err = SM_CORRUPT;
    } else if (l->l_kind == SM_UL_CONDITION) {
        uint32_t mutex = sm_load_rlx(&l->l_shm->ul_mutex);
        if (mutex >= SM_MAX_LOCKS) {
            err = SM_CORRUPT;
        } else if ((l->l_mutex = handle_new(a, mutex, sm_load_rlx(&l->l_shm->ul_mutex_gen))) == NULL) {
            err = SM_NO_MEMORY;
        }
    }
    sm_full_fence(); /* what was read above before the second look at the generation */
    if (sm_ul_gone(l)) {
        err = SM_NOT_FOUND; /* destroyed while it was read */
    }
    if (err != SM_OK) {
        sm_userlock_close(l);
        return err;
    }
    *out = l;
    return SM_OK;
}

/* Fills a free slot of the table and publishes it. Admin lock held. */
static enum sm_err lock_make(struct sm_arena *a, const struct sm_userlock_params *p, uint32_t *id, uint32_t *gen) {
    union lock_name padded = {.words = {0}};
    uint32_t slot = 0;
    while (slot < SM_MAX_LOCKS && sm_load_acq(&a->a_locks[slot].ul_state) != SM_UL_FREE) {
        slot++;
    }
    if (slot == SM_MAX_LOCKS) {
        return SM_TABLE_FULL;
    }
    if (p->up_kind == SM_UL_CONDITION && sm_ul_gone(p->up_mutex)) {
        return SM_GONE;
    }
    struct sm_userlock_hold_shm *cells = sm_userlock_cells(a, slot);
    enum sm_err err = sm_os_commit(a->a_fd, sm_off_of(a, cells), a->a_header->h_max_cpus * sizeof *cells);
    if (err != SM_OK) {
        (void)sm_os_free_space(a->a_fd, &a->a_space_bytes);
        return err;
    }
    sm_crash_point(a, SM_STEP_UL_CELL_COMMITTED);
    for (uint32_t c = 0; c < a->a_header->h_max_cpus; c++) {
        sm_store_rlx((uint64_t *)(void *)&cells[c], 0);
    }
    struct sm_userlock_shm *s = &a->a_locks[slot];
    *gen = sm_load_rlx(&s->ul_gen) + 1;
    sm_store_rlx(&s->ul_gen, *gen);
    sm_full_fence(); /* the new generation before the new contents; pairs with the one in handle_make */
    sm_store_rlx(&s->ul_word, 0);
    sm_store_rlx(&s->ul_kind, (uint32_t)p->up_kind);
    sm_store_rlx(&s->ul_flags, p->up_recursive ? SM_UL_RECURSIVE : 0);
    sm_store_rlx(&s->ul_depth, 0);
    sm_store_rlx(&s->ul_permits, p->up_permits);
    sm_store_rlx(&s->ul_excl_waiters, 0);
    sm_store_rlx(&s->ul_shared_waiters, 0);
    sm_store_rlx(&s->ul_acquires, 0);
    sm_store_rlx(&s->ul_contended, 0);
    sm_store_rlx(&s->ul_mutex, p->up_mutex ? p->up_mutex->l_id : 0);
    sm_store_rlx(&s->ul_mutex_gen, p->up_mutex ? p->up_mutex->l_gen : 0);
    sm_store_rlx(&s->ul_dead_cpu, SM_CPU_NONE);
    sm_store_rlx(&s->ul_dead_pid, 0);
    sm_store_rlx(&s->ul_deaths, 0);
    memcpy(padded.text, p->up_name, strlen(p->up_name));
    for (size_t w = 0; w < NAME_WORDS; w++) {
        sm_store_rlx((uint64_t *)(void *)s->ul_name + w, padded.words[w]);
    }
    sm_crash_point(a, SM_STEP_UL_READY);
    /* Crash before the second store leaves a FREE slot: filled again by the next one. */
    if (a->a_ctl->ctl_locks <= slot) {
        sm_store_rel(&a->a_ctl->ctl_locks, slot + 1);
    }
    sm_store_rel(&s->ul_state, SM_UL_LIVE); /* publishes all of the above; pairs with lock_find's acquire */
    *id = slot;
    return SM_OK;
}

enum sm_err sm_userlock_role(struct sm_userlock *l, const char *type, uint32_t subclass) {
    uint32_t digest = 2166136261u; /* FNV-1a */
    if (type == NULL || type[0] == 0 || l->l_untakable) {
        return SM_INVALID;
    }
    if (strnlen(type, SM_NAME_BYTES) == SM_NAME_BYTES) {
        return SM_NAME_TOO_LONG;
    }
    for (const char *c = type; *c != 0; c++) {
        digest = (digest ^ (uint8_t)*c) * 16777619u;
    }
    digest = (digest ^ subclass) * 16777619u;
    memmove(l->l_type, type, strlen(type) + 1);
    l->l_face.f_type = l->l_type;
    l->l_face.f_subclass = subclass;
    l->l_face.f_role = digest | 1;
    return SM_OK;
}

/* A condition gives its mutex back, and takes it, in the role that its user's handle has. */
static enum sm_err handle_role(struct sm_userlock *l, const struct sm_userlock_params *p) {
    const struct sm_userlock_face *f = p->up_mutex ? &p->up_mutex->l_face : NULL;
    return f != NULL && f->f_type != NULL ? sm_userlock_role(l->l_mutex, f->f_type, f->f_subclass) : SM_OK;
}

enum sm_err sm_userlock_create(struct sm_arena *a, const struct sm_userlock_params *p, struct sm_userlock **out) {
    uint32_t id = 0, gen = 0;
    enum sm_err err = params_check(a, p, true);
    if (err != SM_OK) {
        return err;
    }
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    if ((err = sm_admin_enter(a)) == SM_OK) {
        err = lock_find(a, p->up_name, &id, &gen) ? SM_EXISTS : lock_make(a, p, &id, &gen);
        sm_admin_leave(a);
    }
    if (err == SM_OK && (err = handle_make(a, id, gen, out)) == SM_OK) {
        err = handle_role(*out, p);
    }
    return err;
}

static bool same(const struct sm_userlock *l, const struct sm_userlock_params *p) {
    return l->l_kind == (uint32_t)p->up_kind && l->l_recursive == p->up_recursive &&
           (p->up_permits == 0 || p->up_permits == sm_load_rlx(&l->l_shm->ul_permits)) &&
           (p->up_mutex == NULL || (l->l_mutex->l_id == p->up_mutex->l_id && l->l_mutex->l_gen == p->up_mutex->l_gen));
}

enum sm_err sm_userlock_open(struct sm_arena *a, const struct sm_userlock_params *p, struct sm_userlock **out) {
    uint32_t id, gen;
    struct sm_userlock *l;
    enum sm_err err = params_check(a, p, false);
    if (err != SM_OK) {
        return err;
    }
    if (!lock_find(a, p->up_name, &id, &gen)) {
        return SM_NOT_FOUND;
    }
    if ((err = handle_make(a, id, gen, &l)) != SM_OK) {
        return err;
    }
    if (!same(l, p)) {
        sm_userlock_close(l);
        return SM_MISMATCH;
    }
    *out = l;
    return handle_role(l, p);
}

void sm_userlock_close(struct sm_userlock *l) {
    if (l != NULL) {
        free(l->l_mutex);
        free(l);
    }
}

/* World stopped, admin lock held, inside an operation. */
static enum sm_err lock_unmake(struct sm_userlock *l) {
    struct sm_userlock_shm *s = l->l_shm;
    if (sm_ul_gone(l)) {
        return SM_GONE;
    }
    if (sm_ul_who(sm_load_acq(&s->ul_word)) != 0 || sm_load_rlx(&s->ul_excl_waiters) != 0 ||
        sm_load_rlx(&s->ul_shared_waiters) != 0) {
        return SM_BUSY;
    }
    sm_store_rel(&s->ul_gen, l->l_gen + 1); /* handles find it gone */
    sm_crash_point(l->l_arena, SM_STEP_UL_GOING);
    /* Crash here leaves a LIVE lock of a new generation that nobody holds: it lives on, its old handles do not. */
    sm_store_rel(&s->ul_state, SM_UL_FREE);
    return SM_OK;
}

enum sm_err sm_userlock_destroy(struct sm_userlock *l) {
    struct sm_arena *a = l->l_arena;
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    sm_ul_reap(a); /* what only a dead CPU holds is free */
    enum sm_err err;
    int tries = 0;
    do {
        if ((err = sm_admin_enter_stopped(a, l->l_id)) == SM_OK) {
            err = lock_unmake(l);
            sm_admin_leave_stopped(a);
        }
    } while (sm_op_again(a, &err, &tries));
    if (err == SM_OK && sm_unlikely(sm_ul_watched(l))) {
        sm_ul_destroyed_watched(l);
    }
    return err;
}

/* ---------------------------------------------------------------- a CPU that leaves */

void sm_userlock_mourn(struct sm_arena *a, struct sm_userlock_shm *s, uint32_t cpu, const char *how) {
    const struct sm_cpu_shm *c = &a->a_cpus[cpu];
    union lock_name name;
    name_read(s, &name);
    sm_store_rlx(&s->ul_dead_cpu, cpu);
    sm_store_rlx(&s->ul_dead_pid, c->cpu_pid);
    (void)sm_add_rlx(&s->ul_deaths, 1);
    sm_event_log(a, SM_EV_WARNING, "CPU %u (pid %u) %s holding lock %s", cpu, c->cpu_pid, how, name.text);
}

static uint32_t waits_take(uint16_t *cell, uint32_t *total) {
    uint32_t n = sm_load_rlx(cell);
    sm_store_rlx(cell, 0);
    return n != 0 ? sm_sub_acqrel(total, n) : 0;
}

/* As recovery does it, but for this CPU alone and with the others at work. True: somebody may go on now. */
static bool lock_depart(struct sm_arena *a, uint32_t id) {
    struct sm_userlock_shm *s = &a->a_locks[id];
    struct sm_userlock_hold_shm *cell = &sm_userlock_cells(a, id)[a->a_cpu_id];
    uint64_t w = sm_load_rlx(&s->ul_word);
    uint32_t mine = sm_load_rlx(&cell->uh_shared);
    if (SM_UL_OWNER(w) == a->a_cpu_id + 1) {
        sm_userlock_mourn(a, s, a->a_cpu_id, "left");
        sm_store_seq(&s->ul_word, SM_UL_DIED);
    } else if (mine != 0) {
        if (s->ul_kind == SM_UL_SEMAPHORE) {
            sm_userlock_mourn(a, s, a->a_cpu_id, "left");
            (void)sm_or_acqrel(&s->ul_word, SM_UL_DIED);
        }
        sm_store_rlx(&cell->uh_shared, 0);
        (void)__atomic_sub_fetch(&s->ul_word, (uint64_t)mine << SM_UL_COUNT_SHIFT, __ATOMIC_SEQ_CST);
    } else if (cell->uh_wait_shared == 0 && cell->uh_wait_excl == 0) {
        return false;
    }
    (void)waits_take(&cell->uh_wait_shared, &s->ul_shared_waiters);
    (void)waits_take(&cell->uh_wait_excl, &s->ul_excl_waiters);
    return true;
}

enum sm_err sm_userlock_depart(struct sm_arena *a) {
    for (uint32_t id = 0, n = sm_userlock_used(a); id < n; id++) {
        struct sm_userlock_shm *s = &a->a_locks[id];
        if (sm_load_acq(&s->ul_state) != SM_UL_LIVE) {
            continue;
        }
        enum sm_err err = sm_op_enter(a, SM_OPWORD(SM_OP_LOCK, id, 0));
        if (err != SM_OK) {
            return err; /* this slot stays a dead CPU's, with its holds, for recovery */
        }
        bool changed = lock_depart(a, id);
        sm_op_leave(a);
        if (changed) {
            sm_ul_wake(&s->ul_excl_seq, INT_MAX);
            sm_ul_wake(&s->ul_shared_seq, INT_MAX);
        }
    }
    return SM_OK;
}

/* ---------------------------------------------------------------- figures */

uint32_t sm_userlock_id(const struct sm_userlock *l) {
    return l->l_id;
}

const struct sm_userlock_shm *sm_userlock_shared(const struct sm_userlock *l) {
    return l->l_shm;
}

enum sm_err sm_userlock_stats(const struct sm_arena *a, uint32_t id, struct sm_userlock_stats *out) {
    if (id >= sm_userlock_used(a) || sm_load_acq(&a->a_locks[id].ul_state) != SM_UL_LIVE) {
        return SM_NOT_FOUND;
    }
    const struct sm_userlock_shm *s = &a->a_locks[id];
    uint64_t w = sm_load_acq(&s->ul_word);
    uint32_t mutex = sm_load_rlx(&s->ul_mutex);
    union lock_name name;
    *out = (struct sm_userlock_stats){
        .ls_id = id,
        .ls_kind = sm_load_rlx(&s->ul_kind),
        .ls_recursive = (sm_load_rlx(&s->ul_flags) & SM_UL_RECURSIVE) != 0,
        .ls_died = (w & SM_UL_DIED) != 0,
        .ls_owner = SM_UL_OWNER(w) != 0 ? SM_UL_OWNER(w) - 1 : SM_CPU_NONE,
        .ls_permits = sm_load_rlx(&s->ul_permits),
        .ls_holds = SM_UL_OWNER(w) != 0 ? 1 : SM_UL_COUNT(w),
        .ls_waiters = (uint64_t)sm_load_rlx(&s->ul_excl_waiters) + sm_load_rlx(&s->ul_shared_waiters),
        .ls_acquires = sm_load_rlx(&s->ul_acquires),
        .ls_contended = sm_load_rlx(&s->ul_contended),
        .ls_deaths = sm_load_rlx(&s->ul_deaths),
        .ls_dead_cpu = sm_load_rlx(&s->ul_dead_cpu),
        .ls_dead_pid = sm_load_rlx(&s->ul_dead_pid),
    };
    name_read(s, &name);
    memcpy(out->ls_name, name.text, sizeof out->ls_name);
    if (out->ls_kind == SM_UL_CONDITION && mutex < SM_MAX_LOCKS) {
        name_read(&a->a_locks[mutex], &name);
        memcpy(out->ls_mutex, name.text, sizeof out->ls_mutex);
    }
    return SM_OK;
}
