/* dump.c - copies the object while the world stands still. Takes the quiesce lock; writes nothing to the arena.
 * Source: lseek(2) SEEK_DATA, SEEK_HOLE.
 */
#include "dump.h"

#include <string.h>
#include <unistd.h>

#include "arena_format.h"
#include "quiesce.h"

#define COPY_BYTES (1u << 20)

static enum sm_err write_all(int fd, const uint8_t *from, uint64_t off, uint64_t bytes) {
    while (bytes > 0) {
        ssize_t n = pwrite(fd, from, bytes < COPY_BYTES ? bytes : COPY_BYTES, (off_t)off);
        if (n < 0) {
            enum sm_err err = sm_os_last_error();
            if (err == SM_INTERRUPTED) {
                continue;
            }
            return err;
        }
        from += n;
        off += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return SM_OK;
}

/* A page of zeros needs no place in the file. */
static bool all_zero(const uint8_t *p, uint64_t bytes) {
    return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

static enum sm_err copy_extent(const struct sm_arena *a, int fd, uint64_t from, uint64_t to, uint64_t *copied) {
    enum sm_err err = SM_OK;
    for (uint64_t at = from; err == SM_OK && at < to; at += SM_PAGE) {
        uint64_t bytes = to - at < SM_PAGE ? to - at : SM_PAGE;
        if (!all_zero(a->a_base + at, bytes)) {
            err = write_all(fd, a->a_base + at, at, bytes);
            *copied += bytes;
        }
    }
    return err;
}

/* The copy's header says that it is one: nobody waits for the CPUs in it, or writes to it. */
static enum sm_err mark_header(const struct sm_arena *a, int fd) {
    struct sm_header_shm h = *a->a_header;
    h.h_flags |= SM_ARENA_DUMP;
    h.h_checksum = sm_format_checksum(&h);
    return write_all(fd, (const uint8_t *)&h, 0, sizeof h);
}

static enum sm_err copy_object(const struct sm_arena *a, int fd, struct sm_dump_report *out) {
    uint64_t end = a->a_header->h_object_bytes, from = 0, to = 0;
    enum sm_err err = sm_os_set_size(fd, end);
    while (err == SM_OK && to < end && (err = sm_os_next_data(a->a_fd, to, &from, &to)) == SM_OK) {
        to = to < end ? to : end;
        err = copy_extent(a, fd, from, to, &out->dr_copied_bytes);
    }
    if (err == SM_OK || err == SM_EMPTY) {
        err = mark_header(a, fd);
    }
    out->dr_object_bytes = end;
    return err;
}

enum sm_err sm_dump(struct sm_arena *a, int fd, struct sm_dump_report *out) {
    bool stop = a->a_writable && a->a_live;
    *out = (struct sm_dump_report){0};
    enum sm_err err = stop ? sm_quiesce_begin(a) : SM_OK;
    if (err != SM_OK) {
        return err;
    }
    int64_t start = sm_os_now_ns();
    if (stop) {
        err = sm_quiesce_all(a);
    }
    if (err == SM_OK) {
        err = copy_object(a, fd, out);
    }
    if (stop) {
        sm_quiesce_end(a);
    }
    out->dr_stopped_ns = sm_os_now_ns() - start;
    return err;
}
