/* ops_lock.c - users' locks: taken, given back, waited for, made, ended, left behind. Each operation is one PROVE_OP. That
 * nothing of the victim is left in a lock is what I16 says of it once its slot is free. Source: prove.h.
 */
#include "core/userlock.h"

#include "prove.h"

#define MS 1000000

static struct sm_userlock *mutex, *other,
    *condition; /* of this process: world() sets the survivor's, setup() the victim's */

static struct sm_userlock *lock_of(struct prove_cpu *c, const struct sm_userlock_params *p) {
    struct sm_userlock *l;
    enum sm_err err = sm_userlock_open(c->c_arena, p, &l);
    if (err == SM_NOT_FOUND) {
        err = sm_userlock_create(c->c_arena, p, &l);
    }
    MUST_OK(err);
    return l;
}

static void open_mutex(struct prove_cpu *c) {
    mutex = lock_of(c, &(struct sm_userlock_params){.up_name = "mutex", .up_kind = SM_UL_MUTEX});
}
static void open_rwlock(struct prove_cpu *c) {
    other = lock_of(c, &(struct sm_userlock_params){.up_name = "rwlock", .up_kind = SM_UL_RWLOCK});
}
static void open_sx(struct prove_cpu *c) {
    other = lock_of(c, &(struct sm_userlock_params){.up_name = "sx", .up_kind = SM_UL_SX});
}
static void open_semaphore(struct prove_cpu *c) {
    other = lock_of(c, &(struct sm_userlock_params){.up_name = "permits", .up_kind = SM_UL_SEMAPHORE, .up_permits = 2});
}
static void open_condition(struct prove_cpu *c) {
    open_mutex(c);
    condition =
        lock_of(c, &(struct sm_userlock_params){.up_name = "condition", .up_kind = SM_UL_CONDITION, .up_mutex = mutex});
}

static void items(struct prove_cpu *s) {
    prove_zone(s, 0, &(struct sm_zone_params){.zp_name = "message", .zp_bytes = 128}, 32);
    prove_hold(s, 0, 2);
}

static void world_mutex(struct prove_cpu *s) {
    items(s);
    open_mutex(s);
}
static void world_mutex_taken(struct prove_cpu *s) {
    world_mutex(s);
    MUST_OK(sm_userlock_acquire(mutex, SM_EXCLUSIVE, 0));
}
static void world_rwlock(struct prove_cpu *s) {
    items(s);
    open_rwlock(s);
    MUST_OK(sm_userlock_acquire(other, SM_SHARED, 0)); /* the count that is left must be the survivor's */
}
static void world_sx(struct prove_cpu *s) {
    items(s);
    open_sx(s);
}
static void world_semaphore(struct prove_cpu *s) {
    items(s);
    open_semaphore(s);
    MUST_OK(sm_userlock_acquire(other, SM_SHARED, 0));
}
static void world_condition(struct prove_cpu *s) {
    items(s);
    open_condition(s);
}

static void run_mutex(struct prove_cpu *v) {
    (void)v;
    MUST_OK(sm_userlock_acquire(mutex, SM_EXCLUSIVE, 0));
    MUST_OK(sm_userlock_repaired(mutex));
    MUST_OK(sm_userlock_release(mutex, SM_EXCLUSIVE));
}
static void run_wait(struct prove_cpu *v) {
    (void)v;
    MUST(sm_userlock_acquire(mutex, SM_EXCLUSIVE, MS) == SM_TIMEOUT);
}
static void run_read(struct prove_cpu *v) {
    (void)v;
    MUST_OK(sm_userlock_acquire(other, SM_SHARED, 0));
    MUST_OK(sm_userlock_acquire(other, SM_SHARED, 0));
    MUST_OK(sm_userlock_release(other, SM_SHARED));
    MUST_OK(sm_userlock_release(other, SM_SHARED));
}
static void run_write_wait(struct prove_cpu *v) {
    (void)v;
    MUST(sm_userlock_acquire(other, SM_EXCLUSIVE, MS) == SM_TIMEOUT);
}
static void run_up_and_down(struct prove_cpu *v) {
    (void)v;
    MUST_OK(sm_userlock_acquire(other, SM_SHARED, 0));
    MUST_OK(sm_userlock_upgrade(other));
    MUST_OK(sm_userlock_downgrade(other));
    MUST_OK(sm_userlock_release(other, SM_SHARED));
}
static void run_permit(struct prove_cpu *v) {
    (void)v;
    MUST_OK(sm_userlock_acquire(other, SM_SHARED, 0));
    MUST_OK(sm_userlock_release(other, SM_SHARED));
}
static void run_condition(struct prove_cpu *v) {
    (void)v;
    MUST_OK(sm_userlock_acquire(mutex, SM_EXCLUSIVE, 0));
    MUST(sm_condition_wait(condition, MS) == SM_TIMEOUT);
    MUST_OK(sm_condition_notify(condition, 1));
    MUST_OK(sm_userlock_release(mutex, SM_EXCLUSIVE));
}
static void run_create(struct prove_cpu *v) {
    open_rwlock(v);
}
static void run_destroy(struct prove_cpu *v) {
    (void)v;
    MUST_OK(sm_userlock_destroy(mutex));
}
static void setup_holding(struct prove_cpu *v) {
    open_mutex(v);
    MUST_OK(sm_userlock_acquire(mutex, SM_EXCLUSIVE, 0));
    open_semaphore(v);
    MUST_OK(sm_userlock_acquire(other, SM_SHARED, 0));
    open_rwlock(v);
    MUST_OK(sm_userlock_acquire(other, SM_SHARED, 0));
}
static void run_leave(struct prove_cpu *v) {
    MUST_OK(sm_arena_detach(v->c_arena));
}

PROVE_OP(mutex, "lock-mutex", .o_world = world_mutex, .o_setup = open_mutex, .o_run = run_mutex)
PROVE_OP(wait, "lock-wait", .o_world = world_mutex_taken, .o_setup = open_mutex, .o_run = run_wait)
PROVE_OP(read, "lock-read", .o_world = world_rwlock, .o_setup = open_rwlock, .o_run = run_read)
PROVE_OP(write_wait, "lock-write-wait", .o_world = world_rwlock, .o_setup = open_rwlock, .o_run = run_write_wait)
PROVE_OP(sx, "lock-sx", .o_world = world_sx, .o_setup = open_sx, .o_run = run_up_and_down)
PROVE_OP(permit, "lock-semaphore", .o_world = world_semaphore, .o_setup = open_semaphore, .o_run = run_permit)
PROVE_OP(condition, "lock-condition", .o_world = world_condition, .o_setup = open_condition, .o_run = run_condition)
PROVE_OP(create, "lock-create", .o_world = world_mutex, .o_run = run_create)
PROVE_OP(destroy, "lock-destroy", .o_world = world_mutex, .o_setup = open_mutex, .o_run = run_destroy)
PROVE_OP(leave, "lock-leave", .o_world = items, .o_setup = setup_holding, .o_run = run_leave)
