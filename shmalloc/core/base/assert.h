/* assert.h - the three levels of self-checking.
 * SM_CHECK  always on: what another process may have damaged; the caller gets SM_CORRUPT, never an abort.
 * SM_ASSERT in debug builds: our own preconditions; aborts with the expression.
 * SM_AUDIT  in audit builds: walks whole lists.
 */
#ifndef SM_BASE_ASSERT_H
#define SM_BASE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define SM_CHECK(cond)                                                                                                 \
    do {                                                                                                               \
        if (__builtin_expect(!(cond), 0)) {                                                                            \
            return SM_CORRUPT;                                                                                         \
        }                                                                                                              \
    } while (0)

#ifdef SM_DEBUG
#define SM_ASSERT(cond)                                                                                                \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "shmalloc: assertion failed at %s:%d: %s\n", __FILE__, __LINE__, #cond);                   \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)
#else
#define SM_ASSERT(cond) ((void)0)
#endif

#ifdef SM_AUDIT_BUILD
#define SM_AUDIT(cond) SM_ASSERT(cond)
#else
#define SM_AUDIT(cond) ((void)0)
#endif

#endif
