/* faultinj.h - everything that the module on top uses, in one include. Owns the door; nothing below includes this. */
#ifndef FI_FAULTINJ_H
#define FI_FAULTINJ_H

#include "act.h"
#include "block.h"
#include "glob.h"
#include "hooking.h"
#include "log.h"
#include "point.h"
#include "program.h"
#include "reach.h"
#include "sweep.h"

struct sm_arena;

/* What a capsule of shmalloc._native.hooks_capsule points at. */
struct fi_door {
    struct sm_arena *arena;
    void (*set_hooks)(struct sm_arena *a, const struct sm_hooks *hooks);
    void (*clear_hooks)(struct sm_arena *a, uint32_t mask);
    enum sm_err (*region)(struct sm_arena *a, const char *name, uint64_t bytes, uint32_t version, void **mem);
    enum sm_err (*announce)(struct sm_arena *a, uint32_t flags, bool armed);
    enum sm_err (*find)(const struct sm_arena *a, const char *name, uint64_t *off, uint64_t *bytes, uint32_t *version);
    char *base;
    uint32_t (*cpu)(const void *arena);
};

#endif
