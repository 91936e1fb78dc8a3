/* task.c - slots of tasks. Takes no lock of its own. The language on top runs one task of a process at a time, and tells
 * of each lock after it was got and before it is given back. A process that dies leaves its tasks' slots to the sweep.
 */
#include "task.h"

#include <stdio.h>

#include "class.h"
#include "contention.h"
#include "held.h"

static uint64_t who_of(uint32_t number) {
    return (uint64_t)(uint32_t)getpid() << 32 | W_TASK | (number & (W_TASK - 1));
}

static bool mine(const struct w_thread_shm *slot) {
    return slot != NULL && sm_load_rlx(&slot->t_owner) >> 32 == (uint32_t)getpid();
}

struct w_thread_shm *w_task_claim(struct w_block *b, uint32_t number, const char *name) {
    char own[W_THREAD_BYTES] = {0};
    struct w_thread_shm *t = NULL;
    snprintf(own, sizeof own, "%s", name);
    if (w_thread_self(b) != NULL && sm_load_rlx(&b->b_tasks) < W_TASKS) {
        t = w_thread_take(b, who_of(number), own);
    }
    (void)sm_add_rlx(t != NULL ? &b->b_tasks : &b->b_header->h_lost, 1);
    return t;
}

void w_task_free(struct w_block *b, struct w_thread_shm *slot) {
    if (mine(slot)) {
        sm_store_rlx(&slot->t_count, 0);
        sm_store_rlx(&slot->t_wait_class, W_NO_CLASS);
        sm_store_rel(&slot->t_owner, 0);
        (void)sm_add_rlx(&b->b_tasks, (uint32_t)-1);
    }
}

void w_task_before(struct w_block *b, struct w_thread_shm *slot, uint32_t number, uint32_t class_id, uint64_t instance,
                   uint32_t flags, void *address) {
    (void)w_thread_self(b); /* l_who is of this block from here on */
    uint64_t thread = w_local.l_who;
    w_local.l_who = who_of(number); /* orders that tasks of one thread make against each other can block */
    uint32_t stack = w_order_now(b, class_id, instance, W_EXCLUSIVE, address);
    w_local.l_who = thread;
    if (!(flags & W_UNSURE) && class_id < b->b_max_classes && sm_load_rlx(&b->b_header->h_watch) >= 0) {
        w_contention_found(b, class_id, instance, stack);
    }
    if (mine(slot)) {
        w_wait_begin(slot, class_id, instance, W_EXCLUSIVE, stack);
    }
}

void w_task_not_acquired(struct w_block *b, struct w_thread_shm *slot) {
    (void)b;
    if (mine(slot)) {
        sm_store_rel(&slot->t_wait_class, W_NO_CLASS);
    }
}

void w_task_acquired(struct w_block *b, struct w_thread_shm *slot, uint32_t class_id, uint64_t instance, uint32_t flags,
                     void *address) {
    if (!mine(slot) || class_id >= b->b_max_classes || sm_load_rlx(&b->b_header->h_watch) < 0) {
        return;
    }
    struct w_class_shm *c = &b->b_classes[class_id];
    uint32_t stack = W_NONE;
    if (sm_load_rlx(&slot->t_wait_class) == class_id && slot->t_wait_instance == instance) {
        stack = slot->t_wait_stack;
        if (flags & W_CONTENDED) {
            w_contention_waited(b, class_id, slot->t_wait_since_ns);
        }
    }
    w_task_not_acquired(b, slot);
    if (sm_load_rlx(&c->c_instance) != instance + 1) {
        w_class_seen(b, class_id, instance);
    }
    sm_store_rlx(&c->c_acquires, sm_load_rlx(&c->c_acquires) + 1);
    if (stack == W_NONE) {
        stack = w_held_place(b, class_id, address);
    }
    w_held_push(b, slot, class_id, instance, W_EXCLUSIVE, flags, stack);
}

bool w_task_release(struct w_block *b, struct w_thread_shm *slot, uint32_t class_id, uint64_t instance) {
    return mine(slot) && w_held_give(b, slot, class_id, instance);
}
