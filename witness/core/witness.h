/* witness.h - the whole of the witness's C for its extension module and for C programs. */
#ifndef WITNESS_H
#define WITNESS_H

#include "check.h"
#include "class.h"
#include "contention.h"
#include "held.h"
#include "hooking.h"
#include "order.h"
#include "report.h"
#include "stack.h"
#include "task.h"
#include "thread.h"
#include "waiting.h"

/* What the capsule "shmalloc._native.hooks" points at; shmalloc/native/companion.pxi declares the same. */
struct sm_arena;
struct w_door {
    struct sm_arena *arena;
    void (*set_hooks)(struct sm_arena *a, const struct sm_hooks *hooks);
    void (*clear_hooks)(struct sm_arena *a, uint32_t mask);
    enum sm_err (*region)(struct sm_arena *a, const char *name, uint64_t bytes, uint32_t version, void **mem);
    enum sm_err (*announce)(struct sm_arena *a, uint32_t flags, int armed);
    enum sm_err (*find)(const struct sm_arena *a, const char *name, uint64_t *off, uint64_t *bytes, uint32_t *version);
    char *base;
};

#endif
