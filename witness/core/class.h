/* class.h - lock classes: found or made by name, kind and subclass. Takes the slow lock to make one. */
#ifndef W_CLASS_H
#define W_CLASS_H

#include "block.h"

/* The class of that name, kind and subclass; SM_MISMATCH: the name stands for a lock of another kind, told of once and
 * made all the same. SM_TABLE_FULL: off for good. SM_STALLED. No lock held. */
enum sm_err w_class_get(struct w_block *b, const char *name, const char *kind, uint32_t subclass, uint32_t flags,
                        uint32_t *id);
/* A lock of the class was seen: two make W_MANY. */
void w_class_seen(struct w_block *b, uint32_t id, uint64_t instance);
/* A lock of the class was given back by another thread than took it. */
void w_class_signal(struct w_block *b, uint32_t id);
/* The index anew (W4). Slow lock held. */
void w_class_derive(struct w_block *b);

static inline uint32_t w_class_count(const struct w_block *b) {
    uint32_t n = sm_load_acq(&b->b_header->h_classes);
    return n < b->b_max_classes ? n : b->b_max_classes;
}
static inline uint32_t w_class_flags(const struct w_block *b, uint32_t id) {
    return id < b->b_max_classes ? sm_load_rlx(&b->b_classes[id].c_flags) : 0;
}
uint64_t w_hash(uint64_t seed, const void *bytes, uint64_t n);
#define W_HASH_SEED 0xcbf29ce484222325ull

#endif
