/* page_run.h - free runs in their bins, and the free state blocks of a keg. Private to page*.c; page lock held. */
#ifndef SM_PAGE_RUN_H
#define SM_PAGE_RUN_H

#include "page.h"

/* Gives every page of a run the kind, and its ends the length. */
void sm_run_mark(struct sm_arena *a, uint32_t page, uint32_t pages, enum sm_page_kind kind);
/* Puts a marked run into its bin, merged with neighbours of its kind. Counters are the caller's. */
void sm_run_insert(struct sm_arena *a, uint32_t page, uint32_t pages, enum sm_page_kind kind);
void sm_run_remove(struct sm_arena *a, uint32_t page, uint32_t pages, enum sm_page_kind kind);
/* The first run that fits, from the smallest bin that can hold it. Not removed. Only in that bin can a run be too short:
 * `looks` bounds how many of it are looked at. */
#define SM_RUN_LOOKS 32
bool sm_run_best(const struct sm_arena *a, uint32_t pages, enum sm_page_kind kind, uint32_t looks, uint32_t *page,
                 uint32_t *length);
/* Length of the free run of `kind` whose last page is `page`; 0 when that page is something else. */
uint32_t sm_run_ending(const struct sm_arena *a, uint32_t page, enum sm_page_kind kind);

enum sm_err sm_block_take(struct sm_arena *a, uint32_t keg, uint32_t *block);
void sm_block_give(struct sm_arena *a, uint32_t keg, uint32_t block);

#endif
