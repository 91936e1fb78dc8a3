/* os.h - what the core asks of the kernel, with errno translated to enum sm_err here and nowhere else.
 * Owns nothing; every call works on a descriptor or an address that the caller owns.
 * Sources: mmap(2), fallocate(2), fcntl(2) on open-file-description locks, futex(2), membarrier(2).
 */
#ifndef SM_BASE_OS_H
#define SM_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

#define SM_NEVER INT64_MAX /* a deadline that does not come */

enum sm_err sm_os_error(int errnum);
enum sm_err sm_os_last_error(void); /* of the C library call that just failed */

/* Files. Ranges are bytes. */
enum sm_err sm_os_size(int fd, uint64_t *bytes);
enum sm_err sm_os_set_size(int fd, uint64_t bytes);
enum sm_err sm_os_commit(int fd, uint64_t off, uint64_t bytes);   /* posix_fallocate: SM_NO_MEMORY when full */
enum sm_err sm_os_punch(int fd, uint64_t off, uint64_t bytes);    /* gives pages back, keeps the size */
enum sm_err sm_os_free_space(int fd, uint64_t *bytes);            /* free bytes of the file system under fd */
enum sm_err sm_os_allocated(int fd, uint64_t *bytes); /* bytes of the object that have pages behind them */
enum sm_err sm_os_map(int fd, uint64_t bytes, bool writable, void **base);
void sm_os_unmap(void *base, uint64_t bytes);
/* The next extent of existing pages at or after `off`: [from, to). SM_EMPTY: only a hole is left. */
enum sm_err sm_os_next_data(int fd, uint64_t off, uint64_t *from, uint64_t *to);
enum sm_err sm_os_reopen(int fd, bool writable, int *out); /* a new open file description of the same object */
void sm_os_close(int fd);
uint32_t sm_os_page_bytes(void);

/* Open-file-description locks on one byte: the kernel drops them when the last descriptor closes, at death too. */
enum sm_err sm_os_byte_lock(int fd, uint64_t byte, bool *got); /* never blocks */
enum sm_err sm_os_byte_unlock(int fd, uint64_t byte);
enum sm_err sm_os_byte_locked(int fd, uint64_t byte, bool *locked); /* by some other description */

/* Futexes on words shared between processes. deadline_ns is CLOCK_MONOTONIC, SM_NEVER waits for ever. */
enum sm_err sm_os_futex_wait(uint32_t *word, uint32_t seen, int64_t deadline_ns);
void sm_os_futex_wake(uint32_t *word, int count);

/* Memory barriers on other CPUs. */
bool sm_os_membarrier_register(void); /* false: not available, use fenced mode */
void sm_os_membarrier(void);

int64_t sm_os_now_ns(void); /* CLOCK_MONOTONIC */
int64_t sm_os_wall_ns(void); /* CLOCK_REALTIME */
uint64_t sm_os_start_ticks(void); /* this process's start time in clock ticks since boot, 0 if unknown */
uint64_t sm_os_random(void);
void sm_os_yield(void);
void sm_os_nap_ns(int64_t ns);
/* What code address this is: "symbol+0x1c (module+0x2f40)", as much of it as the loader knows. */
void sm_os_symbol(const void *address, char *out, size_t bytes);

#endif
