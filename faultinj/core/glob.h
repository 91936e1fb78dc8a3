/* glob.h - whether a name matches a pattern. Owns nothing; no allocation, no recursion, no locale. */
#ifndef FI_GLOB_H
#define FI_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* `*` stands for any characters, `?` for one. Both end at their NUL or at their bound, in bytes. */
bool fi_glob(const char *pattern, size_t most_pattern, const char *name, size_t most_name);

#endif
