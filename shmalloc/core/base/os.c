/* os.c - the kernel's calls, and the only place where errno becomes enum sm_err. Owns nothing. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum sm_err sm_os_error(int errnum) {
    switch (errnum) {
    case 0:
        return SM_OK;
    case ENOSPC:
    case ENOMEM:
    case EFBIG:
    case EDQUOT:
        return SM_NO_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
        return SM_PERMISSION;
    case ENOENT:
        return SM_NOT_FOUND;
    case EEXIST:
        return SM_EXISTS;
    case ENOSYS:
    case EOPNOTSUPP:
        return SM_UNSUPPORTED;
    case ETIMEDOUT:
        return SM_TIMEOUT;
    case EINTR:
        return SM_INTERRUPTED;
    case EOWNERDEAD:
        return SM_DEAD_PEER;
    case EINVAL:
        return SM_INVALID;
    default:
        return SM_OS;
    }
}

enum sm_err sm_os_last_error(void) {
    return sm_os_error(errno);
}

enum sm_err sm_os_size(int fd, uint64_t *bytes) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return sm_os_error(errno);
    }
    *bytes = (uint64_t)st.st_size;
    return SM_OK;
}

enum sm_err sm_os_set_size(int fd, uint64_t bytes) {
    int rc;
    do {
        rc = ftruncate(fd, (off_t)bytes);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? SM_OK : sm_os_error(errno);
}

enum sm_err sm_os_commit(int fd, uint64_t off, uint64_t bytes) {
    int rc;
    do {
        rc = posix_fallocate(fd, (off_t)off, (off_t)bytes);
    } while (rc == EINTR);
    return sm_os_error(rc);
}

enum sm_err sm_os_punch(int fd, uint64_t off, uint64_t bytes) {
    int rc;
    do {
        rc = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)bytes);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? SM_OK : sm_os_error(errno);
}

enum sm_err sm_os_free_space(int fd, uint64_t *bytes) {
    struct statvfs vfs;
    if (fstatvfs(fd, &vfs) != 0) {
        return sm_os_error(errno);
    }
    *bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return SM_OK;
}

enum sm_err sm_os_allocated(int fd, uint64_t *bytes) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return sm_os_error(errno);
    }
    *bytes = (uint64_t)st.st_blocks * 512;
    return SM_OK;
}

enum sm_err sm_os_map(int fd, uint64_t bytes, bool writable, void **base) {
    int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *p = mmap(NULL, bytes, prot, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED) {
        return sm_os_error(errno);
    }
    (void)madvise(p, bytes, MADV_DONTDUMP); /* a core file of the whole sparse arena helps nobody; dump does */
    *base = p;
    return SM_OK;
}

void sm_os_unmap(void *base, uint64_t bytes) {
    (void)munmap(base, bytes);
}

enum sm_err sm_os_next_data(int fd, uint64_t off, uint64_t *from, uint64_t *to) {
    off_t data = lseek(fd, (off_t)off, SEEK_DATA);
    if (data < 0) {
        return errno == ENXIO ? SM_EMPTY : sm_os_error(errno);
    }
    off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0) {
        return sm_os_error(errno);
    }
    *from = (uint64_t)data;
    *to = (uint64_t)hole;
    return SM_OK;
}

enum sm_err sm_os_reopen(int fd, bool writable, int *out) {
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (again < 0) {
        return errno == ENOENT ? SM_UNSUPPORTED : sm_os_error(errno);
    }
    *out = again;
    return SM_OK;
}

void sm_os_close(int fd) {
    (void)close(fd);
}

uint32_t sm_os_page_bytes(void) {
    return (uint32_t)sysconf(_SC_PAGESIZE);
}

static int byte_lock(int fd, uint64_t byte, int cmd, short type, struct flock *fl) {
    memset(fl, 0, sizeof *fl);
    fl->l_type = type;
    fl->l_whence = SEEK_SET;
    fl->l_start = (off_t)byte;
    fl->l_len = 1;
    int rc;
    do {
        rc = fcntl(fd, cmd, fl);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

enum sm_err sm_os_byte_lock(int fd, uint64_t byte, bool *got) {
    struct flock fl;
    int rc = byte_lock(fd, byte, F_OFD_SETLK, F_WRLCK, &fl);
    *got = rc == 0;
    return rc == 0 || rc == EAGAIN || rc == EACCES ? SM_OK : sm_os_error(rc);
}

enum sm_err sm_os_byte_unlock(int fd, uint64_t byte) {
    struct flock fl;
    return sm_os_error(byte_lock(fd, byte, F_OFD_SETLK, F_UNLCK, &fl));
}

enum sm_err sm_os_byte_locked(int fd, uint64_t byte, bool *locked) {
    struct flock fl;
    int rc = byte_lock(fd, byte, F_OFD_GETLK, F_WRLCK, &fl);
    *locked = rc == 0 && fl.l_type != F_UNLCK;
    return sm_os_error(rc);
}

enum sm_err sm_os_futex_wait(uint32_t *word, uint32_t seen, int64_t deadline_ns) {
    struct timespec at = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    /* BITSET: an absolute CLOCK_MONOTONIC deadline. Not PRIVATE: the word is shared between processes. */
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, deadline_ns == SM_NEVER ? NULL : &at, NULL,
                      FUTEX_BITSET_MATCH_ANY);
    if (rc == 0 || errno == EAGAIN) {
        return SM_OK;
    }
    return sm_os_error(errno);
}

void sm_os_futex_wake(uint32_t *word, int count) {
    (void)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

bool sm_os_membarrier_register(void) {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void sm_os_membarrier(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) != 0) {
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0); /* slower, same promise */
    }
}

static int64_t clock_ns(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t sm_os_now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t sm_os_wall_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}

uint64_t sm_os_start_ticks(void) {
    char text[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) {
        return 0;
    }
    text[n] = 0;
    char *p = strrchr(text, ')'); /* the command may hold anything; fields 3.. follow its last ')' */
    for (int field = 2; p && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }
    unsigned long long ticks = 0;
    return p && sscanf(p, " %llu", &ticks) == 1 ? ticks : 0;
}

uint64_t sm_os_random(void) {
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) != (ssize_t)sizeof v) {
        v = (uint64_t)sm_os_wall_ns() * 0x9e3779b97f4a7c15ull ^ (uint64_t)getpid() << 32;
    }
    return v ? v : 1;
}

void sm_os_yield(void) {
    (void)sched_yield();
}

void sm_os_nap_ns(int64_t ns) {
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    (void)nanosleep(&ts, NULL);
}

void sm_os_symbol(const void *address, char *out, size_t bytes) {
    Dl_info in;
    if (dladdr(address, &in) == 0 || in.dli_fname == NULL) {
        snprintf(out, bytes, "%p", address);
        return;
    }
    const char *slash = strrchr(in.dli_fname, '/'), *module = slash ? slash + 1 : in.dli_fname;
    size_t at = (size_t)((const char *)address - (const char *)in.dli_fbase);
    if (in.dli_sname != NULL) {
        size_t past = (size_t)((const char *)address - (const char *)in.dli_saddr);
        snprintf(out, bytes, "%s+0x%zx (%s+0x%zx)", in.dli_sname, past, module, at);
    } else {
        snprintf(out, bytes, "%s+0x%zx", module, at);
    }
}
