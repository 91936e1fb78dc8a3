/* mac_label.c - labels on packet headers: made with the header, copied with it, ended with it. Takes no lock. Policies run
 * outside operations, while the label's tag is HELD by this CPU; only a label that all of them accepted is attached.
 * After mac_net.c.
 *
 * Birth and end of a label are one operation each, so that counters and labels agree whenever the world is stopped (I18):
 *   birth    mb_labels_made grows, then l_magic says alive    a death in between: recovery counts one reaped
 *   end      l_magic says dead, then mb_labels_ended grows    the same
 * A death anywhere else leaves a label on a HELD tag, or on one of a dead CPU's mbuf: recovery frees it, policies unheard.
 */
#include <errno.h>
#include <string.h>

#include "event.h"
#include "mac.h"
#include "mbuf_impl.h"

enum mac_label_step { STEP_LABEL_COUNTED = 0x8d0, STEP_LABEL_ALIVE, STEP_LABEL_READY, STEP_LABEL_DEAD };

static struct mac_label *label_of(struct m_tag *t) {
    return (struct mac_label *)(void *)t->t_data;
}

static bool label_alive(struct m_tag *t) {
    return t->t_len == sizeof(struct mac_label) && sm_load_rlx(&label_of(t)->l_magic) == MAC_LABEL_MAGIC;
}

struct mac_label *mac_mbuf_label(struct sm_mb *mb, const struct mbuf *m) {
    struct m_tag *t = m_tag_find(mb, m, PACKET_TAG_MACLABEL, NULL);
    if (t == NULL) {
        return NULL;
    }
    return label_alive(t) ? label_of(t) : sm_mb_fail(mb, SM_CORRUPT);
}

/* ---------------------------------------------------------------- birth and end */

/* A tag that is no label yet. */
static enum sm_err tag_new(struct sm_mb *mb, int how, struct m_tag **out) {
    void *mem = NULL;
    enum sm_err err = sm_fault(mb->mb_arena, SM_FP_TAG, "mbuf_tag", MTAG_BYTES, how);
    if (err == SM_OK) {
        err = sm_zone_alloc(mb->mb_zone[SM_MBZ_TAG], how, NULL, -1, &mem);
    }
    if (err != SM_OK) {
        return err;
    }
    struct m_tag *t = mem;
    memset(t, 0, MTAG_HDR_BYTES + sizeof(struct mac_label));
    t->t_cookie = MTAG_ABI_COMPAT;
    t->t_id = PACKET_TAG_MACLABEL;
    t->t_len = sizeof(struct mac_label);
    *out = t;
    return SM_OK;
}

/* Enters the operation in which the label is born, with a view of the policies that holds until it is left: a policy goes
 * with the world stopped. One that comes meanwhile has no part in this label. */
static enum sm_err birth_enter(struct sm_mb *mb, const struct m_tag *t) {
    for (;;) {
        enum sm_err err = sm_mac_refresh(mb, true);
        if (err == SM_OK && mb->mb_policy_lost != 0) {
            err = SM_UNRESOLVED; /* a packet that a policy cannot judge must not come to be */
        }
        if (err != SM_OK || (err = sm_op_enter(mb->mb_arena, sm_mb_op(t, mb))) != SM_OK) {
            return err;
        }
        if (sm_load_acq(&mb->mb_shm->mb_policy_gen) == mb->mb_policy_gen) { /* pairs with sm_mac_unregister's */
            return SM_OK;
        }
        sm_op_leave(mb->mb_arena);
    }
}

static enum sm_err label_birth(struct sm_mb *mb, struct m_tag *t) {
    struct mac_label *l = label_of(t);
    enum sm_err err = birth_enter(mb, t);
    if (err != SM_OK) {
        return err;
    }
    l->l_policies = (uint16_t)mb->mb_policy_live;
    sm_add_rlx(&mb->mb_shm->mb_labels_made, 1);
    sm_crash_point(mb->mb_arena, STEP_LABEL_COUNTED);
    sm_store_rlx(&l->l_magic, MAC_LABEL_MAGIC);
    sm_crash_point(mb->mb_arena, STEP_LABEL_ALIVE);
    sm_op_leave(mb->mb_arena);
    return SM_OK;
}

static enum sm_err label_end(struct sm_mb *mb, struct m_tag *t) {
    enum sm_err err = sm_op_enter(mb->mb_arena, sm_mb_op(t, mb));
    if (err != SM_OK) {
        return err;
    }
    sm_store_rlx(&label_of(t)->l_magic, MAC_LABEL_DEAD);
    sm_crash_point(mb->mb_arena, STEP_LABEL_DEAD);
    sm_add_rlx(&mb->mb_shm->mb_labels_ended, 1);
    sm_op_leave(mb->mb_arena);
    return SM_OK;
}

/* ---------------------------------------------------------------- the policies' part */

static enum sm_err refused(struct sm_mb *mb, uint32_t i, int rc) {
    mb->mb_arena->a_callback_errno = rc;
    sm_add_rlx(&mb->mb_shm->mb_policy[i].mp_refused, 1);
    return SM_CTOR_FAILED;
}

/* One policy's init or copy, or the failure that is injected in its place. */
static enum sm_err ask(struct sm_mb *mb, uint32_t i, enum sm_mac_call which, uint64_t *slot, void *arg, int how) {
    enum sm_err err = sm_fault(mb->mb_arena, SM_FP_MAC, mb->mb_shm->mb_policy[i].mp_name, sizeof *slot, how);
    if (err != SM_OK) {
        return err == SM_CTOR_FAILED ? refused(mb, i, ENOMEM) : err;
    }
    int rc = sm_mac_run(mb, i, which, slot, arg, how);
    return rc == 0 ? SM_OK : refused(mb, i, rc);
}

static enum sm_err ask_all(struct sm_mb *mb, struct mac_label *l, struct mac_label *from, int how) {
    enum sm_err err = SM_OK;
    how &= SM_M_WAITOK | SM_M_NOWAIT;
    for (uint32_t i = 0; err == SM_OK && i < MAC_SLOTS; i++) {
        if (l->l_policies >> i & 1) {
            err = ask(mb, i, SM_MAC_INIT, &l->l_slot[i], l, how);
            l->l_ready |= (uint16_t)((err == SM_OK) << i);
            sm_crash_point(mb->mb_arena, STEP_LABEL_READY);
        }
    }
    for (uint32_t i = 0; err == SM_OK && from != NULL && i < MAC_SLOTS; i++) {
        if (l->l_policies & from->l_ready & 1u << i) { /* a younger policy knows nothing of the old label */
            err = ask(mb, i, SM_MAC_COPY, &l->l_slot[i], &from->l_slot[i], how);
        }
    }
    return err;
}

/* Every policy that was there at the label's birth hears of its end, initialised or not: FreeBSD's rule. A bit goes once
 * its policy has heard, so that an end which could not be finished is not told twice. */
static void tell_all(struct sm_mb *mb, struct mac_label *l) {
    bool known = sm_mac_refresh(mb, false) == SM_OK;
    for (uint32_t i = 0; i < MAC_SLOTS; i++) {
        uint32_t bit = 1u << i;
        if (!(l->l_policies & bit)) {
            continue;
        }
        if (known && mb->mb_policy_live & bit && !(mb->mb_policy_lost & bit)) {
            (void)sm_mac_run(mb, i, SM_MAC_DESTROY, &l->l_slot[i], l, 0);
        } else { /* a free must not fail because a module is missing here */
            sm_add_rlx(&mb->mb_shm->mb_policy[i].mp_missed, 1);
        }
        l->l_policies &= (uint16_t)~bit;
    }
}

enum sm_err sm_mac_destroy_tag(struct sm_mb *mb, struct m_tag *t) {
    struct mac_label *l = label_of(t);
    if (label_alive(t)) {
        tell_all(mb, l);
    } else if (sm_load_rlx(&l->l_magic) != MAC_LABEL_DEAD) {
        sm_event_log(mb->mb_arena, SM_EV_WARNING,
                     "label at %#llx was overwritten (length %u, magic %#x): it ends, and no policy hears of it",
                     (unsigned long long)m_off(mb, t), t->t_len, l->l_magic);
    } else {
        return SM_OK; /* ended already, by a free that could not be finished */
    }
    return label_end(mb, t);
}

/* ---------------------------------------------------------------- making and copying */

/* A label that every policy has accepted, on a tag that is linked to nothing. */
static enum sm_err label_make(struct sm_mb *mb, struct mac_label *from, int how, struct m_tag **out) {
    struct m_tag *t = NULL;
    if (mb->mb_policy_inside != 0) {
        return SM_IN_CALLBACK; /* a policy that makes labelled packets would ask itself without end */
    }
    enum sm_err err = tag_new(mb, how & ~SM_M_ZERO, &t);
    if (err != SM_OK) {
        return err;
    }
    if ((err = label_birth(mb, t)) != SM_OK) {
        label_of(t)->l_magic = MAC_LABEL_DEAD; /* it never lived: the tag is freed without an end */
    } else {
        err = ask_all(mb, label_of(t), from, how);
    }
    if (err == SM_OK) {
        *out = t;
    } else {
        (void)m_tag_free(mb, t);
    }
    return err;
}

static enum sm_err label_attach(struct sm_mb *mb, struct mbuf *m, struct mac_label *from, int how) {
    struct m_tag *t = NULL;
    enum sm_err err = label_make(mb, from, how, &t);
    if (err == SM_OK && (err = m_tag_prepend(mb, m, t)) != SM_OK) {
        (void)m_tag_free(mb, t);
    }
    return err;
}

enum sm_err sm_mac_init_mbuf(struct sm_mb *mb, struct mbuf *m, int how) {
    return label_attach(mb, m, NULL, how);
}

/* A header without a label, made before labelling was on, gives none to its copy. */
enum sm_err sm_mac_copy_mbuf(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from, int how) {
    struct mac_label *l = mac_mbuf_label(mb, from);
    if (l == NULL) {
        return mb->mb_err == SM_NOT_FOUND ? SM_OK : mb->mb_err;
    }
    struct m_tag *old = m_tag_find(mb, to, PACKET_TAG_MACLABEL, NULL);
    if (old != NULL) {
        enum sm_err err = m_tag_delete(mb, to, old);
        if (err != SM_OK) {
            return err;
        }
    }
    return label_attach(mb, to, l, how);
}
