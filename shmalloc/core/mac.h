/* mac.h - MAC labels of packet headers: policies and the switch (mac.c), labels (mac_label.c), the test policy
 * (mac_test.c). Policies are known by the names of their callbacks, so that every process of the arena runs its own; their
 * table and the switch take the admin lock. After FreeBSD's mac(9), mac_framework.c and mac_net.c.
 *
 * A policy has a slot of 64 bits in every label. Its callbacks (see enum sm_callback_slot) get
 *     init(slot, 8, label, how)        may fail with an errno; how: SM_M_WAITOK or SM_M_NOWAIT, of the allocation
 *     destroy(slot, 8, label, 0)       also for a slot that was never initialised (0), when another policy refused
 *     copy(slot, 8, old slot, how)     may fail; the new label has been initialised before
 * The slot lies in shared memory: 64 bits that mean the same in every process, never a pointer. A callback must not make
 * labelled packets (SM_IN_CALLBACK).
 */
#ifndef SM_MAC_H
#define SM_MAC_H

#include "mbuf.h"

/* Adds a policy; *slot is its place in every label made from now on. A callback of kind SM_CB_ABSENT is not called, but
 * one must be there. SM_EXISTS: a policy has this name. SM_TABLE_FULL: MAC_SLOTS policies are there. SM_UNRESOLVED: this
 * process cannot find a callback. SM_NAME_TOO_LONG, SM_INVALID: name, flags (MAC_LABEL_MBUFS or 0), kinds. */
enum sm_err sm_mac_register(struct sm_mb *mb, const char *name, uint32_t flags, const struct sm_callback_shm *init,
                            const struct sm_callback_shm *destroy, const struct sm_callback_shm *copy, uint32_t *slot);
/* Removes one. SM_BUSY: labels that it would have to hear of are alive; those of dead processes are reaped first. Stops
 * the other CPUs while it looks. SM_NOT_FOUND. */
enum sm_err sm_mac_unregister(struct sm_mb *mb, const char *name);
/* MAC_LABELS_OFF, _ALL, _BY_POLICY: labels when a policy with MAC_LABEL_MBUFS is there. Labels that exist stay. */
enum sm_err sm_mac_set_labelling(struct sm_mb *mb, uint32_t mode);

struct sm_mac_policy { /* of slot mo_slot, as it was at one moment */
    uint32_t mo_slot, mo_flags;
    char mo_name[SM_NAME_BYTES];
    struct sm_callback_shm mo_init, mo_destroy, mo_copy;
    uint64_t mo_refused; /* labels that it refused */
    uint64_t mo_missed; /* ends that it did not hear of, in processes without its callbacks */
};
/* SM_NOT_FOUND: the slot is free. SM_INVALID: there is none of that number. Also on a read-only attachment. */
enum sm_err sm_mac_policy(const struct sm_mb *mb, uint32_t slot, struct sm_mac_policy *out);
enum sm_err sm_mac_find(const struct sm_mb *mb, const char *name, uint32_t *slot);

/* The label of a packet header, valid as long as the tag; NULL: it has none (mb_err SM_NOT_FOUND), or one that makes no
 * sense (SM_CORRUPT). */
struct mac_label *mac_mbuf_label(struct sm_mb *mb, const struct mbuf *m);

/* The policy "mac_test" with MAC_LABEL_MBUFS: counts what happens to its slots in mb_mac_test, for all processes together,
 * and logs an event for each violation. */
enum sm_err sm_mac_test_register(struct sm_mb *mb, uint32_t *slot);
#define MAC_TEST_NAME "mac_test"
#define MAC_TEST_MAGIC 0x4d544553u /* upper half of an initialised slot, "SETM"; the lower half counts */
#define MAC_TEST_DEAD 0xdeadbeefu

#endif
