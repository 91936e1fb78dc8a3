/* glob.c - matching of names, going back to the last star alone: linear space, no recursion. */
#include "glob.h"

#include <string.h>

bool fi_glob(const char *pattern, size_t most_pattern, const char *name, size_t most_name) {
    size_t np = strnlen(pattern, most_pattern), nn = strnlen(name, most_name);
    size_t p = 0, n = 0, star = np, taken = 0;
    while (n < nn) {
        if (p < np && pattern[p] == '*') {
            star = p++;
            taken = n;
        } else if (p < np && (pattern[p] == '?' || pattern[p] == name[n])) {
            p++;
            n++;
        } else if (star < np) { /* the last star takes one more */
            p = star + 1;
            n = ++taken;
        } else {
            return false;
        }
    }
    while (p < np && pattern[p] == '*') {
        p++;
    }
    return p == np;
}
