/* callbacks.c - see callbacks.h. Owns the process's refusals. Source: zone.h, native callbacks. */
#include "callbacks.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define INITED 0x1d1d1d1d1d1d1d1d
#define HALF_MADE 0xfeedfacecafe0bad

int callback_refuse = -1;
int64_t callback_refuse_after;
uint64_t callback_wrong_dtors;
int callback_stop = -1;
int callback_stop_fd = -1;
void (*callback_told)(enum sm_callback_slot slot);

static void tell(enum sm_callback_slot slot) {
    if (callback_told) {
        callback_told(slot);
    }
}

static int refuse(enum sm_callback_slot slot) {
    return callback_refuse == (int)slot && callback_refuse_after-- <= 0 ? EIO : 0;
}

static void mark(void *mem, uint64_t with) {
    *(volatile uint64_t *)mem = with;
}

static void *last_word(void *mem, uint32_t bytes) {
    return (uint8_t *)mem + bytes - sizeof(uint64_t);
}

static int ctor(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)bytes, (void)arg, (void)how, (void)ctx;
    tell(SM_CB_CTOR);
    mark(mem, HALF_MADE);
    if (refuse(SM_CB_CTOR) != 0) {
        return EIO;
    }
    mark(mem, 1);
    return 0;
}

static int dtor(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)bytes, (void)arg, (void)how, (void)ctx;
    tell(SM_CB_DTOR);
    callback_wrong_dtors += *(volatile uint64_t *)mem == HALF_MADE;
    mark(mem, HALF_MADE);
    return 0;
}

static int init(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)arg, (void)how, (void)ctx;
    if (callback_stop == SM_CB_INIT) {
        MUST(write(callback_stop_fd, "", 1) == 1);
        for (;;) {
            pause();
        }
    }
    tell(SM_CB_INIT);
    mark(last_word(mem, bytes), INITED);
    return refuse(SM_CB_INIT);
}

static int fini(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)arg, (void)how, (void)ctx;
    tell(SM_CB_FINI);
    mark(last_word(mem, bytes), ~INITED);
    return 0;
}

bool callback_inited(const void *mem, uint32_t bytes) {
    uint64_t found;
    memcpy(&found, (const uint8_t *)mem + bytes - sizeof found, sizeof found);
    return found != (uint64_t)~INITED && found != 0;
}

void callback_set(struct sm_zone_params *p, enum sm_callback_slot slot, const char *name) {
    p->zp_cb[slot].cb_kind = SM_CB_NATIVE;
    strncpy(p->zp_cb[slot].cb_name, name, sizeof p->zp_cb[slot].cb_name - 1);
}

__attribute__((constructor)) static void register_callbacks(void) {
    MUST_OK(sm_zone_register("prove-ctor", ctor));
    MUST_OK(sm_zone_register("prove-dtor", dtor));
    MUST_OK(sm_zone_register("prove-init", init));
    MUST_OK(sm_zone_register("prove-fini", fini));
}
