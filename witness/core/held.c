/* held.c - giving locks back, and where they were taken. Takes no lock but the slow one of a stack that is new. A lock
 * given back by another thread of the process that took it is taken out of that thread's list: its owner keeps away from
 * the entry, because the language on top runs one of them at a time, or the lock itself orders them.
 */
#include "held.h"

#include "check.h"
#include "report.h"
#include "stack.h"

__attribute__((noinline)) uint32_t w_held_place_learn(struct w_block *b, uint32_t class_id, uint64_t *entry,
                                                      uint64_t tag, void *address) {
    if (w_local.l_busy != 0) {
        return W_NONE;
    }
    w_local.l_busy++;
    uint32_t id = w_stack_here(b, address);
    w_local.l_busy--;
    sm_store_rlx(entry, tag | id);
    if (id != W_NONE && sm_load_rlx(&b->b_classes[class_id].c_site) == W_NONE) {
        sm_store_rlx(&b->b_classes[class_id].c_site, id);
    }
    return id;
}

bool w_held_give(struct w_block *b, struct w_thread_shm *t, uint32_t class_id, uint64_t instance) {
    for (uint32_t i = w_held_count(t); i-- > 0;) {
        struct w_held_shm *d = &t->t_held[i];
        if (d->d_class == class_id && d->d_instance == instance) {
            if (w_unlikely(d->d_depth > 1)) {
                sm_store_rlx(&d->d_depth, d->d_depth - 1);
            } else {
                w_held_drop(b, t, i);
            }
            return true;
        }
    }
    return false;
}

static __attribute__((noinline)) bool give_elsewhere(struct w_block *b, uint32_t class_id, uint64_t instance) {
    uint64_t pid = (uint32_t)getpid();
    for (uint32_t i = 0; i < b->b_max_threads; i++) {
        struct w_thread_shm *t = &b->b_threads[i];
        if (sm_load_rlx(&t->t_owner) >> 32 == pid && w_held_give(b, t, class_id, instance)) {
            return true;
        }
    }
    return false;
}

void w_held_given(struct w_block *b, struct w_thread_shm *t) {
    uint32_t word = __atomic_exchange_n(&t->t_given, 0, __ATOMIC_ACQ_REL);
    for (uint32_t i = word != 0 ? w_held_count(t) : 0; i-- > 0;) {
        if (w_given_word(t->t_held[i].d_class, t->t_held[i].d_instance) == word) {
            w_held_drop(b, t, i);
        }
    }
}

void w_given_elsewhere(struct w_block *b, uint32_t class_id, uint64_t instance) {
    uint32_t word = w_given_word(class_id, instance);
    for (uint32_t i = 0; i < b->b_max_threads; i++) {
        struct w_thread_shm *t = &b->b_threads[i];
        for (uint32_t n = sm_load_rlx(&t->t_owner) != 0 ? w_held_count(t) : 0; n-- > 0;) {
            uint32_t none = 0; /* its owner may be writing the entry: at worst the word names nothing that it holds */
            if (sm_load_rlx(&t->t_held[n].d_instance) == instance && sm_load_rlx(&t->t_held[n].d_class) == class_id) {
                if (!sm_cas(&t->t_given, &none, word) && none != word) {
                    (void)sm_add_rlx(&b->b_header->h_lost, 1); /* the owner did not look at the one before yet */
                }
                return;
            }
        }
    }
}

void w_held_fresh(struct w_block *b, struct w_thread_shm *t) {
    for (uint32_t i = w_held_count(t); b->b_alive != NULL && i-- > 0;) {
        const struct w_held_shm *d = &t->t_held[i];
        if (w_class_flags(b, d->d_class) & W_FILE && !b->b_alive(b, b->b_ctx, d->d_class, d->d_instance)) {
            w_held_drop(b, t, i);
        }
    }
}

bool w_release(struct w_block *b, uint32_t class_id, uint64_t instance, bool must, void *address) {
    struct w_thread_shm *t = w_thread_self(b);
    if (w_unlikely(class_id >= b->b_max_classes)) {
        return false;
    }
    if (w_unlikely(w_class_flags(b, class_id) & W_NORELEASE)) {
        w_report_misuse(b, "release of a lock that must not be released", class_id, instance, W_EXCLUSIVE, address,
                        NULL);
    }
    if (w_unlikely(t == NULL || !w_held_give(b, t, class_id, instance)) && !give_elsewhere(b, class_id, instance)) {
        if (must) {
            w_report_misuse(b, "release of a lock that is not held", class_id, instance, W_EXCLUSIVE, address, NULL);
        }
        return false;
    }
    return true;
}

static struct w_held_shm *find(struct w_thread_shm *t, uint32_t class_id, uint64_t instance) {
    for (uint32_t i = t ? w_held_count(t) : 0; i-- > 0;) {
        if (t->t_held[i].d_class == class_id && t->t_held[i].d_instance == instance) {
            return &t->t_held[i];
        }
    }
    return NULL;
}

static void turn(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, void *address) {
    struct w_held_shm *d = find(w_thread_self(b), class_id, instance);
    bool up = mode == W_EXCLUSIVE;
    if (d == NULL || (d->d_mode == W_EXCLUSIVE) == up) {
        w_report_misuse(b,
                        up ? "upgrade of a lock that is not held shared" : "downgrade of a lock that is not held alone",
                        class_id, instance, mode, address, NULL);
    } else if (d->d_depth > 1) {
        w_report_misuse(b, up ? "upgrade of a lock taken more than once" : "downgrade of a lock taken more than once",
                        class_id, instance, mode, address, NULL);
    } else {
        sm_store_rlx(&d->d_mode, (uint16_t)mode);
    }
}

void w_upgrade(struct w_block *b, uint32_t class_id, uint64_t instance, void *address) {
    turn(b, class_id, instance, W_EXCLUSIVE, address);
}

void w_downgrade(struct w_block *b, uint32_t class_id, uint64_t instance, void *address) {
    turn(b, class_id, instance, W_SHARED_RECURSIVE, address);
}

void w_lock_created(struct w_block *b, uint32_t class_id, uint64_t instance) {
    if (class_id < b->b_max_classes) {
        w_class_seen(b, class_id, instance);
    }
}

void w_lock_destroyed(struct w_block *b, uint32_t class_id, uint64_t instance, void *address) {
    uint64_t pid = (uint32_t)getpid();
    for (uint32_t i = 0; i < b->b_max_threads; i++) {
        struct w_thread_shm *t = &b->b_threads[i];
        if (sm_load_rlx(&t->t_owner) >> 32 == pid && find(t, class_id, instance) != NULL) {
            w_report_misuse(b, "destroyed while it is held", class_id, instance, W_EXCLUSIVE, address, NULL);
            while (w_held_give(b, t, class_id, instance)) {
            }
        }
    }
}
