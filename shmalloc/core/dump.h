/* dump.h - a consistent copy of a running arena in a file: check, stat and ls then work on the file. Stops the world for
 * as long as the copy takes; only pages that exist are copied, the file is as sparse as the object.
 */
#ifndef SM_DUMP_H
#define SM_DUMP_H

#include "arena.h"

struct sm_dump_report {
    uint64_t dr_copied_bytes; /* of the object's pages that exist */
    uint64_t dr_object_bytes; /* length of the file */
    int64_t dr_stopped_ns;
};

/* Writes the arena to an empty regular file, open for writing. On failure the file's content is undefined. */
enum sm_err sm_dump(struct sm_arena *a, int fd, struct sm_dump_report *out);

#endif
