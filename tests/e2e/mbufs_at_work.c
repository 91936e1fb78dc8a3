/* mbufs_at_work.c - a process with mbufs for the tests of the command line: attaches to the arena NAME, takes a known set
 * of mbufs, says "ready", goes on taking and freeing packets until its input ends, and then gives everything back.
 *
 *     mbufs_at_work NAME COUNT     COUNT packets of a header and a cluster, COUNT socknames, 2 control mbufs with a page
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/shmalloc.h"

#define MOST 1000

static void need(bool fine, const char *what) {
    if (!fine) {
        fprintf(stderr, "mbufs_at_work: %s failed\n", what);
        exit(1);
    }
}

int main(int argc, char **argv) {
    static struct mbuf *held[2 * MOST + 2];
    struct sm_arena *a = NULL;
    struct sm_mb *mb = NULL;
    struct sm_mb_params limits = {.mp_nmbclusters = 512};
    char path[256];
    need(argc == 3, "reading the arguments");
    int count = atoi(argv[2]), n = 0;
    need(count > 0 && count <= MOST, "reading the count");
    snprintf(path, sizeof path, "/shmalloc.%s", argv[1]);
    int fd = shm_open(path, O_RDWR, 0);
    need(fd >= 0 && sm_arena_attach(fd, true, NULL, "mbufs", &a) == SM_OK, "attaching");
    need(sm_mb_open(a, &limits, &mb) == SM_OK, "opening the mbufs");
    for (int i = 0; i < count; i++) {
        held[n++] = m_getcl(mb, SM_M_WAITOK, MT_DATA, M_PKTHDR);
        held[n++] = m_get(mb, SM_M_WAITOK, MT_SONAME);
    }
    for (int i = 0; i < 2; i++) {
        held[n++] = m_getjcl(mb, SM_M_WAITOK, MT_CONTROL, 0, MJUMPAGESIZE);
    }
    for (int i = 0; i < n; i++) {
        need(held[i] != NULL, "taking an mbuf");
    }
    puts("ready");
    fflush(stdout);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    while (poll(&input, 1, 1) == 0) {
        for (int i = 0; i < 100; i++) {
            struct mbuf *m = m_getcl(mb, SM_M_WAITOK, MT_DATA, M_PKTHDR);
            need(m != NULL && m_freem(mb, m) == SM_OK, "a packet");
        }
    }
    while (n > 0) {
        need(m_freem(mb, held[--n]) == SM_OK, "freeing");
    }
    need(sm_arena_detach(a) == SM_OK, "detaching");
    sm_arena_close(a);
    return 0;
}
