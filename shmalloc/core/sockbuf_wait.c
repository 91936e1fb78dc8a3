/* sockbuf_wait.c - sleeping until a sockbuf has bytes or room, and waking. Holds no lock while it sleeps or wakes.
 *
 * No lost wake-ups. A sleeper reads the side's sequence number, sets its flag, looks at the sockbuf under the lock, and
 * sleeps on the number it read. A waker changes the sockbuf under the lock and after that, if the flag is set, clears
 * it, bumps the number and wakes everybody; who finds nothing begins again.
 *   - The sleeper's look came after the change: it sees it.
 *   - It came before: then its flag was set before it released the lock that the waker took later. The waker sees it and
 *     bumps the number, or another waker cleared it and bumps the number. Either does so after the flag was set, hence
 *     after the sleeper has read the number: the futex does not sleep, or is woken.
 *   - The waker died between its change and its wake: whoever recovers bumps both numbers and wakes (reap.c), and since
 *     the dead wake nobody, a sleeper looks for them every SM_DEATH_LOOK_NS. A sleeper that died leaves a flag that
 *     costs one wake.
 */
#include <limits.h>

#include "cpu.h"
#include "sockbuf_impl.h"

enum sockbuf_wait_step { STEP_SB_FLAGGED = 0x8b0, STEP_SB_SLEEPING, STEP_SB_UNFLAGGED, STEP_SB_BUMPED };

static uint32_t *flag_of(struct sm_sockbuf_shm *s, enum sb_side side) {
    return side == SB_DATA ? &s->sb_data_waiters : &s->sb_space_waiters;
}

static uint32_t *seq_of(struct sm_sockbuf_shm *s, enum sb_side side) {
    return side == SB_DATA ? &s->sb_data_seq : &s->sb_space_seq;
}

void sm_sockbuf_wake(struct sm_sockbuf *sb, enum sb_side side) {
    struct sm_arena *a = sm_sockbuf_arena(sb);
    uint32_t one = 1, *flag = flag_of(sb->sb_shm, side), *seq = seq_of(sb->sb_shm, side);
    if (sm_load_acq(flag) != 0 && sm_cas(flag, &one, 0)) {
        sm_crash_point(a, STEP_SB_UNFLAGGED);
        sm_add_acqrel(seq, 1); /* pairs with the acquire in sbwait */
        sm_crash_point(a, STEP_SB_BUMPED);
        sm_os_futex_wake(seq, INT_MAX);
    }
}

/* SM_EMPTY: not yet. */
static enum sm_err look(struct sm_sockbuf *sb, enum sb_side side, uint64_t bytes) {
    struct sm_sockbuf_shm *s = sb->sb_shm;
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    bool now = side == SB_SPACE ? sm_sockbuf_fits(s, bytes) : bytes == 0 ? s->sb_mb != 0 : s->sb_cc >= bytes;
    bool ever = bytes <= s->sb_hiwat || now;
    sm_sockbuf_leave(sb);
    return now ? SM_OK : ever ? SM_EMPTY : SM_INVALID;
}

/* SM_OK: woken, or time to look again. SM_TIMEOUT: the deadline has passed. */
static enum sm_err sleep_once(struct sm_sockbuf *sb, uint32_t *seq, uint32_t seen, int64_t deadline_ns) {
    struct sm_arena *a = sm_sockbuf_arena(sb);
    uint32_t epoch = a->a_epoch;
    for (;;) {
        int64_t next = sm_os_now_ns() + SM_DEATH_LOOK_NS, until = next < deadline_ns ? next : deadline_ns;
        sm_crash_point(a, STEP_SB_SLEEPING);
        void *token = sm_block_begin(a);
        enum sm_err err = sm_os_futex_wait(seq, seen, until);
        enum sm_err end = sm_block_end(a, token);
        if (end != SM_OK) {
            return end;
        }
        if (a->a_epoch != epoch) {
            return SM_CLOSED; /* detached by another thread meanwhile */
        }
        if (err != SM_TIMEOUT) {
            return err == SM_INTERRUPTED ? SM_OK : err;
        }
        if (a->a_cpu != &a->a_orphan && sm_cpu_count_dead(a) > 0 && (err = a->a_recover(a)) != SM_OK &&
            err != SM_STALLED) {
            return err;
        }
        if (until == deadline_ns) {
            return SM_TIMEOUT;
        }
    }
}

enum sm_err sbwait(struct sm_sockbuf *sb, enum sb_side side, uint64_t bytes, int64_t timeout_ns) {
    int64_t now = sm_os_now_ns(), deadline = SM_NEVER;
    if (side != SB_DATA && side != SB_SPACE) {
        return SM_INVALID;
    }
    if (!sm_sockbuf_arena(sb)->a_writable) {
        return SM_READ_ONLY;
    }
    if (timeout_ns >= 0 && timeout_ns < SM_NEVER - now) {
        deadline = now + timeout_ns;
    }
    for (bool late = timeout_ns == 0;;) {
        uint32_t seen = sm_load_acq(seq_of(sb->sb_shm, side)); /* before the flag; pairs with the bump in wake */
        sm_store_seq(flag_of(sb->sb_shm, side), 1);
        sm_crash_point(sm_sockbuf_arena(sb), STEP_SB_FLAGGED);
        enum sm_err err = look(sb, side, bytes);
        if (err != SM_EMPTY) {
            return err;
        }
        if (late) {
            return SM_TIMEOUT;
        }
        err = sleep_once(sb, seq_of(sb->sb_shm, side), seen, deadline);
        if (err != SM_OK && err != SM_TIMEOUT) {
            return err;
        }
        late = err == SM_TIMEOUT;
    }
}
