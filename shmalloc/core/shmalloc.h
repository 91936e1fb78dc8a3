/* shmalloc.h - the umbrella: everything a C or C++ program needs to share an arena. */
#ifndef SHMALLOC_H
#define SHMALLOC_H

#ifdef __cplusplus
#define _Static_assert static_assert
#define _Alignas alignas
extern "C" {
#endif

#include "arena.h"
#include "cache.h"
#include "check.h"
#include "cpu.h"
#include "dump.h"
#include "event.h"
#include "mac.h"
#include "malloc.h"
#include "mbuf.h"
#include "mbuf_cached.h"
#include "mbuf_stats.h"
#include "queue.h"
#include "reap.h"
#include "site.h"
#include "sockbuf.h"
#include "stats.h"
#include "tunable.h"
#include "userlock.h"
#include "who.h"
#include "zone.h"

#ifdef __cplusplus
}
#undef _Static_assert
#undef _Alignas
#endif

#endif
