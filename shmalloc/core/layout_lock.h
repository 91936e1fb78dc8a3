/* layout_lock.h - users' locks as shared bytes: the lock word, and what each CPU holds of a lock that many may hold. No
 * functions. The keys in parentheses and the invariants are those of layout.h.
 */
#ifndef SM_LAYOUT_LOCK_H
#define SM_LAYOUT_LOCK_H

#include "layout.h"

/*  LOCK WORD, the truth about who holds a lock exclusively
 *
 *      63                             20 19     13  12  11       0
 *      +--------------------------------+---------+----+----------+
 *      | thread of the owner, or number |    0    |died| owner    |
 *      | of holds when owner is 0       |         |    | cpu + 1  |
 *      +--------------------------------+---------+----+----------+
 *
 *  A mutex, and a writer, own: one compare-and-swap takes, one store gives back, and the word names whom to ask whether
 *  it still lives. Readers and semaphore permits are counted; whose they are stands in the HOLD CELLS, one for each CPU
 *  and lock, and those are the truth: the count is derived. Word and cell change inside one operation (SM_OP_LOCK), so
 *  with the world stopped they agree for every live CPU.
 *  died: a holder that could write died holding it, and nobody has said since that what the lock protects is whole again.
 */
#define SM_MAX_LOCKS 256u
enum sm_userlock_kind { SM_UL_MUTEX = 1, SM_UL_RWLOCK, SM_UL_SX, SM_UL_SEMAPHORE, SM_UL_CONDITION, SM_UL_KIND_END };
#define SM_UL_OWNER_MASK 0xfffull
#define SM_UL_DIED 0x1000ull
#define SM_UL_COUNT_SHIFT 20
#define SM_UL_COUNT_ONE (1ull << SM_UL_COUNT_SHIFT)
#define SM_UL_OWNER(w) ((uint32_t)((w) & SM_UL_OWNER_MASK)) /* cpu + 1, 0: no owner */
#define SM_UL_COUNT(w) (SM_UL_OWNER(w) ? 0 : (w) >> SM_UL_COUNT_SHIFT)

#define SM_UL_FREE 0u /* ul_state */
#define SM_UL_LIVE 1u
#define SM_UL_RECURSIVE 1u /* ul_flags */

/*  OFFSET SIZE FIELD
 *       0    8 ul_word            see LOCK WORD                        first cache line: every acquisition
 *       8    4 ul_state           SM_UL_FREE, LIVE
 *      12    4 ul_gen             grows when the slot is reused
 *      16    4 ul_kind            enum sm_userlock_kind
 *      20    4 ul_flags           SM_UL_RECURSIVE
 *      24    4 ul_depth           times the owner has taken it
 *      28    4 ul_permits         of a semaphore
 *      32    4 ul_excl_seq        futex of those who want it alone (and of a semaphore's and a condition's waiters)
 *      36    4 ul_excl_waiters
 *      40    4 ul_shared_seq      futex of readers
 *      44    4 ul_shared_waiters
 *      48    8 ul_acquires        since creation
 *      56    8 ul_contended       acquisitions that found it taken
 *      64   32 ul_name
 *      96    4 ul_mutex           of a condition: id of its mutex
 *     100    4 ul_mutex_gen       and that mutex's generation
 *     104    4 ul_dead_cpu        the last holder that died or left holding it
 *     108    4 ul_dead_pid
 *     112    8 ul_deaths          such holders ever
 */
struct sm_userlock_shm {
    uint64_t ul_word; /* (t) */
    uint32_t ul_state; /* (a) read by anybody */
    uint32_t ul_gen; /* (a) */
    uint32_t ul_kind; /* (c) */
    uint32_t ul_flags; /* (c) */
    uint32_t ul_depth; /* the owner named in the word */
    uint32_t ul_permits; /* (c) */
    uint32_t ul_excl_seq; /* (x) */
    uint32_t ul_excl_waiters; /* (x) (d) */
    uint32_t ul_shared_seq; /* (x) */
    uint32_t ul_shared_waiters; /* (x) (d) */
    uint64_t ul_acquires; /* (x) */
    uint64_t ul_contended; /* (x) */
    char ul_name[SM_NAME_BYTES]; /* (c) */
    uint32_t ul_mutex; /* (c) */
    uint32_t ul_mutex_gen; /* (c) */
    uint32_t ul_dead_cpu; /* whoever marks the death: recovery (q), or the owner that leaves */
    uint32_t ul_dead_pid;
    uint64_t ul_deaths;
    uint64_t ul_pad;
};
_Static_assert(offsetof(struct sm_userlock_shm, ul_name) == 64, "what every acquisition touches is one cache line");
_Static_assert(sizeof(struct sm_userlock_shm) == 128, "layout");

/*  HOLD CELL of one CPU at one lock; a lock's cells lie side by side, committed when the lock is made.
 *  OFFSET SIZE FIELD
 *       0    4 uh_shared       holds of this CPU: as a reader, or permits of a semaphore
 *       4    2 uh_wait_shared  threads of this CPU asleep as readers
 *       6    2 uh_wait_excl    and of the others
 */
struct sm_userlock_hold_shm {
    uint32_t uh_shared; /* (o) (t) */
    uint16_t uh_wait_shared; /* (o) */
    uint16_t uh_wait_excl; /* (o) */
};
_Static_assert(sizeof(struct sm_userlock_hold_shm) == 8, "layout");

#endif
