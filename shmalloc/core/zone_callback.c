/* zone_callback.c - from a callback's name to a function in this process. Owns the process's table of native callbacks.
 * Nothing here touches shared memory: names are copied out before they are looked up.
 */
#include "zone_impl.h"

#include <pthread.h>
#include <string.h>

#define NATIVE_MAX 64

static pthread_mutex_t native_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char key[SM_CALLBACK_BYTES];
    sm_callback_fn fn;
} native[NATIVE_MAX];
static unsigned native_count;

static sm_callback_fn native_find(const char *key) {
    for (unsigned i = 0; i < native_count; i++) {
        if (strcmp(native[i].key, key) == 0) {
            return native[i].fn;
        }
    }
    return NULL;
}

enum sm_err sm_zone_register(const char *key, sm_callback_fn fn) {
    enum sm_err err = SM_OK;
    if (key == NULL || key[0] == 0 || fn == NULL) {
        return SM_INVALID;
    }
    if (strlen(key) >= SM_CALLBACK_BYTES) {
        return SM_NAME_TOO_LONG;
    }
    pthread_mutex_lock(&native_lock);
    sm_callback_fn have = native_find(key);
    if (have != NULL) {
        err = have == fn ? SM_OK : SM_EXISTS;
    } else if (native_count == NATIVE_MAX) {
        err = SM_TABLE_FULL;
    } else {
        strcpy(native[native_count].key, key);
        native[native_count++].fn = fn;
    }
    pthread_mutex_unlock(&native_lock);
    return err;
}

enum sm_err sm_zone_resolve_one(struct sm_arena *a, const char *zone, enum sm_callback_slot slot,
                                const struct sm_callback_shm *cb, sm_callback_fn *fn, void **ctx) {
    struct sm_callback_shm own = *cb;
    own.cb_name[SM_CALLBACK_BYTES - 1] = 0;
    switch (own.cb_kind) {
    case SM_CB_ABSENT:
        return SM_OK;
    case SM_CB_NATIVE:
        pthread_mutex_lock(&native_lock);
        *fn = native_find(own.cb_name);
        pthread_mutex_unlock(&native_lock);
        *ctx = a;
        return *fn ? SM_OK : SM_UNRESOLVED;
    case SM_CB_NAMED:
        if (a->a_runtime.rt_resolve == NULL) {
            return SM_UNRESOLVED;
        }
        return a->a_runtime.rt_resolve(a->a_runtime.rt_ctx, zone, slot, &own, fn, ctx);
    default:
        return SM_CORRUPT;
    }
}

enum sm_err sm_zone_resolve(struct sm_arena *a, const char *zone, const struct sm_callback_shm cb[SM_CB_SLOTS],
                            sm_callback_fn fn[SM_CB_SLOTS], void *ctx[SM_CB_SLOTS]) {
    for (int i = 0; i < SM_CB_SLOTS; i++) {
        fn[i] = NULL;
        ctx[i] = NULL;
    }
    for (int i = 0; i < SM_CB_SLOTS; i++) {
        enum sm_err err = sm_zone_resolve_one(a, zone, (enum sm_callback_slot)i, &cb[i], &fn[i], &ctx[i]);
        if (err != SM_OK) {
            sm_zone_unresolve(a, ctx);
            return err;
        }
    }
    return SM_OK;
}

void sm_zone_unresolve_one(struct sm_arena *a, void **ctx) {
    if (*ctx && *ctx != a && a->a_runtime.rt_release) {
        a->a_runtime.rt_release(a->a_runtime.rt_ctx, *ctx);
    }
    *ctx = NULL;
}

void sm_zone_unresolve(struct sm_arena *a, void *ctx[SM_CB_SLOTS]) {
    for (int i = 0; i < SM_CB_SLOTS; i++) {
        sm_zone_unresolve_one(a, &ctx[i]);
    }
}
