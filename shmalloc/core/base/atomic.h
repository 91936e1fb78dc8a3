/* atomic.h - loads and stores whose memory order is in their name, and the compiler's barrier.
 * Owns no state. Everything shared between CPUs goes through these; plain accesses are for data that
 * a lock, a quiesce or an ownership word protects.
 *
 * The one unusual pair is sm_compiler_barrier() in an owner's fast path with membarrier(2) in quiesce.c:
 * the owner pays nothing, the rare visitor pays a system call that acts as a full fence on every CPU
 * that runs an attached process.
 */
#ifndef SM_BASE_ATOMIC_H
#define SM_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define sm_load_rlx(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define sm_load_acq(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define sm_load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define sm_store_rlx(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define sm_store_rel(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define sm_store_seq(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define sm_add_rlx(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define sm_add_acqrel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define sm_sub_acqrel(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define sm_or_acqrel(p, v) __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
#define sm_and_acqrel(p, v) __atomic_fetch_and((p), (v), __ATOMIC_ACQ_REL)

/* Compare-and-swap; on failure *expected holds what was found. Acquire and release on success. */
#define sm_cas(p, expected, desired)                                                                                   \
    __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* Orders the compiler only. Pairs with membarrier(2), see quiesce.c. */
#define sm_compiler_barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define sm_full_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)

#define sm_likely(x) __builtin_expect(!!(x), 1)
#define sm_unlikely(x) __builtin_expect(!!(x), 0)

static inline void sm_cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Bump a counter that only one CPU writes and anybody may read: no locked instruction. Outside ThreadSanitizer a plain
 * addition, which the compiler makes one instruction on memory; an aligned 64-bit store is never torn here. */
static inline void sm_bump(uint64_t *counter, uint64_t by) {
#ifdef __SANITIZE_THREAD__
    sm_store_rlx(counter, sm_load_rlx(counter) + by);
#else
    *counter += by;
#endif
}

#endif
