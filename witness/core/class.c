/* class.c - the table of lock classes and its index. Looking one up takes no lock; making one takes the slow lock.
 *
 * Crash windows: a class is filled, published by the count, then entered in the index. Killed before the count, it is
 * filled again by the next one; killed after it, the index is derived by whoever gets the slow lock (W4).
 */
#include "class.h"

#include <string.h>

#include "report.h"

uint64_t w_hash(uint64_t seed, const void *bytes, uint64_t n) {
    const uint8_t *p = bytes;
    for (uint64_t i = 0; i < n; i++) {
        seed = (seed ^ p[i]) * 0x100000001b3ull;
    }
    return seed;
}

struct wanted {
    char n_name[W_NAME_BYTES];
    char n_kind[W_KIND_BYTES];
    uint32_t n_subclass;
};

static uint64_t hash_of(const char *name, const char *kind, uint32_t subclass) {
    uint64_t h = w_hash(W_HASH_SEED, name, strnlen(name, W_NAME_BYTES));
    h = w_hash(h, kind, strnlen(kind, W_KIND_BYTES));
    return w_hash(h, &subclass, sizeof subclass);
}

static bool class_is(const struct w_class_shm *c, const struct wanted *n) {
    return c->c_subclass == n->n_subclass && strncmp(c->c_name, n->n_name, W_NAME_BYTES) == 0 &&
           strncmp(c->c_kind, n->n_kind, W_KIND_BYTES) == 0;
}

static bool class_find(const struct w_block *b, const struct wanted *n, uint32_t *id) {
    uint32_t mask = b->b_class_slots - 1, at = (uint32_t)hash_of(n->n_name, n->n_kind, n->n_subclass);
    for (uint32_t i = 0; i < b->b_class_slots; i++) {
        uint32_t entry = sm_load_acq(&b->b_class_index[(at + i) & mask]); /* pairs with the store in index_enter */
        if (entry == 0) {
            return false;
        }
        if (entry <= w_class_count(b) && class_is(&b->b_classes[entry - 1], n)) {
            *id = entry - 1;
            return true;
        }
    }
    return false;
}

static void index_enter(struct w_block *b, uint32_t id) {
    const struct w_class_shm *c = &b->b_classes[id];
    uint32_t mask = b->b_class_slots - 1, at = (uint32_t)hash_of(c->c_name, c->c_kind, c->c_subclass);
    for (uint32_t i = 0; i < b->b_class_slots; i++) {
        uint32_t *slot = &b->b_class_index[(at + i) & mask];
        if (sm_load_rlx(slot) == 0) {
            sm_store_rel(slot, id + 1);
            return;
        }
        if (sm_load_rlx(slot) == id + 1) {
            return;
        }
    }
}

void w_class_derive(struct w_block *b) {
    for (uint32_t id = 0, n = w_class_count(b); id < n; id++) {
        index_enter(b, id); /* entries are never taken out, so what is there stays right for readers */
    }
}

/* Another class of that name and subclass; the same kind of name stands for two kinds of lock. */
static bool name_taken(const struct w_block *b, const struct wanted *n, uint32_t *other) {
    for (uint32_t id = 0, count = w_class_count(b); id < count; id++) {
        const struct w_class_shm *c = &b->b_classes[id];
        if (c->c_subclass == n->n_subclass && strncmp(c->c_name, n->n_name, W_NAME_BYTES) == 0) {
            *other = id;
            return true;
        }
    }
    return false;
}

/* Slow lock held. */
static enum sm_err class_make(struct w_block *b, const struct wanted *n, uint32_t flags, uint32_t *id) {
    uint32_t at = w_class_count(b);
    if (at == b->b_max_classes) {
        w_block_off(b, W_OFF_CLASSES);
        return SM_TABLE_FULL;
    }
    struct w_class_shm *c = &b->b_classes[at];
    memset(c, 0, sizeof *c);
    memcpy(c->c_name, n->n_name, sizeof c->c_name);
    memcpy(c->c_kind, n->n_kind, sizeof c->c_kind);
    c->c_subclass = n->n_subclass;
    c->c_flags = flags & W_CLASS_FLAGS;
    w_crash_point(W_STEP_CLASS_FILLED);
    sm_store_rel(&b->b_header->h_classes, at + 1); /* publishes it; pairs with w_class_count */
    w_crash_point(W_STEP_CLASS_PUBLISHED);
    index_enter(b, at);
    *id = at;
    return SM_OK;
}

enum sm_err w_class_get(struct w_block *b, const char *name, const char *kind, uint32_t subclass, uint32_t flags,
                        uint32_t *id) {
    struct wanted n = {.n_subclass = subclass};
    uint32_t other = W_NO_CLASS;
    bool taken = false;
    memcpy(n.n_name, name, strnlen(name, W_NAME_BYTES - 1));
    memcpy(n.n_kind, kind, strnlen(kind, W_KIND_BYTES - 1));
    if (class_find(b, &n, id)) {
        return SM_OK;
    }
    if (!w_block_lock(b)) {
        return SM_STALLED;
    }
    enum sm_err err = SM_OK;
    if (!class_find(b, &n, id)) {
        taken = name_taken(b, &n, &other);
        err = class_make(b, &n, flags, id);
    }
    w_block_unlock(b);
    if (err == SM_OK && taken) {
        w_report_misuse(b, "same name with another kind", *id, 0, W_EXCLUSIVE, NULL, b->b_classes[other].c_kind);
        return SM_MISMATCH;
    }
    return err;
}

void w_class_seen(struct w_block *b, uint32_t id, uint64_t instance) {
    struct w_class_shm *c = &b->b_classes[id];
    uint64_t first = 0, mine = instance + 1;
    if (!sm_cas(&c->c_instance, &first, mine) && first != mine && !(sm_load_rlx(&c->c_flags) & W_MANY)) {
        (void)sm_or_acqrel(&c->c_flags, W_MANY);
    }
}

void w_class_signal(struct w_block *b, uint32_t id) {
    if (!(w_class_flags(b, id) & W_SIGNAL)) {
        (void)sm_or_acqrel(&b->b_classes[id].c_flags, W_SIGNAL);
    }
}
