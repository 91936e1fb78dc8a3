/* mbufs.h - what the crash proof needs to know of mbufs: packets with known bytes, and ATTACHED items. Source: prove.h. */
#ifndef TESTS_CORE_PROVE_MBUFS_H
#define TESTS_CORE_PROVE_MBUFS_H

#include "core/mbuf.h"
#include "prove.h"

struct sm_mb *prove_mb(struct sm_arena *a); /* NULL: the world has no mbufs */
/* len bytes that `key` tells apart, from the start of each mbuf's storage on. */
void prove_fill_packet(struct sm_mb *mb, struct mbuf *m, uint32_t key, uint32_t len);
/* NULL, or what is wrong with it. */
const char *prove_look_at_packet(struct sm_mb *mb, struct mbuf *m, uint32_t key, uint32_t len);
/* Reads a sockbuf to its end; false: its checks complain, or it does not end as its counters say. */
bool prove_empty_sockbufs(struct sm_arena *a);
uint64_t prove_attached(const struct sm_arena *a, uint32_t keg);
/* Where a held item may be written to: not over an mbuf's header. False: nowhere, its storage is shared. */
bool prove_fill_area(struct sm_arena *a, const struct sm_zone *z, void *mem, uint8_t **bytes, uint32_t *n);

#endif
