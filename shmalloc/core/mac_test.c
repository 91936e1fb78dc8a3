/* mac_test.c - the policy "mac_test": counts what happens to its slots and checks that each is initialised once, copied and
 * destroyed once in between. Owns mb_mac_test, which all processes share. Takes no lock. After FreeBSD's mac_test.c.
 */
#include <string.h>

#include "event.h"
#include "mac.h"
#include "mbuf_impl.h"

static uint64_t slot_value(uint32_t magic, uint64_t serial) {
    return (uint64_t)magic << 32 | (uint32_t)serial;
}

static bool slot_is(uint64_t slot, uint32_t magic) {
    return slot >> 32 == magic;
}

static void violation(struct sm_mb *mb, const char *what, const uint64_t *slot) {
    sm_add_rlx(&mb->mb_shm->mb_mac_test.mt_violations, 1);
    sm_event_log(mb->mb_arena, SM_EV_WARNING, "mac_test: %s: slot %#llx at %#llx", what, (unsigned long long)*slot,
                 (unsigned long long)m_off(mb, slot));
}

static void look_at_label(struct sm_mb *mb, const struct mac_label *l, const uint64_t *slot) {
    if (sm_load_rlx(&l->l_magic) != MAC_LABEL_MAGIC) {
        violation(mb, "called for a label that is not alive", slot);
    }
}

static int test_init(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    uint64_t *slot = mem;
    struct sm_mb *mb = NULL;
    (void)bytes, (void)how;
    if (sm_mb_find(ctx, &mb) != SM_OK) {
        return 0;
    }
    look_at_label(mb, arg, slot);
    if (*slot != 0) {
        violation(mb, "initialised while in use", slot);
    }
    *slot = slot_value(MAC_TEST_MAGIC, sm_add_rlx(&mb->mb_shm->mb_mac_test.mt_made, 1) + 1);
    return 0;
}

static int test_destroy(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    uint64_t *slot = mem;
    struct sm_mb *mb = NULL;
    (void)bytes, (void)how;
    if (sm_mb_find(ctx, &mb) != SM_OK) {
        return 0;
    }
    struct sm_mac_test_shm *mt = &mb->mb_shm->mb_mac_test;
    look_at_label(mb, arg, slot);
    if (slot_is(*slot, MAC_TEST_MAGIC)) {
        sm_add_rlx(&mt->mt_destroyed, 1);
    } else if (*slot == 0) {
        sm_add_rlx(&mt->mt_empty, 1); /* a policy refused the label before this one was asked */
    } else {
        violation(mb, slot_is(*slot, MAC_TEST_DEAD) ? "destroyed twice" : "destroyed with a wrong magic", slot);
    }
    *slot = slot_value(MAC_TEST_DEAD, *slot);
    return 0;
}

static int test_copy(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    uint64_t *slot = mem, *from = arg;
    struct sm_mb *mb = NULL;
    (void)bytes, (void)how;
    if (sm_mb_find(ctx, &mb) != SM_OK) {
        return 0;
    }
    if (!slot_is(*from, MAC_TEST_MAGIC)) {
        violation(mb, "copied from a slot that was never initialised", from);
    }
    if (!slot_is(*slot, MAC_TEST_MAGIC)) {
        violation(mb, "copied to a slot that was never initialised", slot);
    }
    sm_add_rlx(&mb->mb_shm->mb_mac_test.mt_copied, 1);
    return 0;
}

static const struct sm_callback_shm callbacks[SM_MAC_CALLS] = {
    {SM_CB_NATIVE, "mac_test_init"}, {SM_CB_NATIVE, "mac_test_destroy"}, {SM_CB_NATIVE, "mac_test_copy"}};

enum sm_err sm_mac_test_natives(void) {
    static const sm_callback_fn fn[SM_MAC_CALLS] = {test_init, test_destroy, test_copy};
    enum sm_err err = SM_OK;
    for (int k = 0; err == SM_OK && k < SM_MAC_CALLS; k++) {
        err = sm_zone_register(callbacks[k].cb_name, fn[k]);
    }
    return err;
}

enum sm_err sm_mac_test_register(struct sm_mb *mb, uint32_t *slot) {
    return sm_mac_register(mb, MAC_TEST_NAME, MAC_LABEL_MBUFS, &callbacks[SM_MAC_INIT], &callbacks[SM_MAC_DESTROY],
                           &callbacks[SM_MAC_COPY], slot);
}
