/* answer.c - a C process that shares an arena with a Python one (ask.py).
 *
 * It attaches to the arena by name and opens the queues "questions" and "answers" and the zone "sentence". Every item
 * that arrives holds a text; the program answers in the same item, without a copy, by turning the text to capitals,
 * and says goodbye in an item that it allocates itself. The item becomes this CPU's when it is taken out of the one
 * queue and nobody's when it is put into the other.
 *
 *     cc answer.c $(pkg-config --cflags --libs shmalloc) -o answer
 *     ./answer NAME COUNT
 */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <shmalloc/shmalloc.h>

#define SECOND_NS 1000000000ll

/* Says what failed, with the core's own sentence about it. True when nothing did. */
static bool succeeded(const char *what, enum sm_err e) {
    if (e != SM_OK) {
        fprintf(stderr, "answer: %s: %s (%s)\n", what, sm_err_text(e), sm_err_name(e));
    }
    return e == SM_OK;
}

/* Attaches to the arena of this name; NULL after saying why not. */
static struct sm_arena *attach(const char *name) {
    char object[128];
    struct sm_arena *arena = NULL;
    snprintf(object, sizeof object, "/shmalloc.%s", name);
    int fd = shm_open(object, O_RDWR, 0);
    if (fd < 0) {
        perror(object);
        return NULL;
    }
    succeeded("attach", sm_arena_attach(fd, true, NULL, "answer.c", &arena));
    close(fd); /* the attachment keeps a descriptor of its own */
    return arena;
}

/* Takes one question, answers it in place, passes it on. */
static bool answer_one(struct sm_queue *questions, struct sm_queue *answers) {
    struct sm_zone *zone;
    void *item;
    if (!succeeded("get", sm_queue_get(questions, 30 * SECOND_NS, &zone, &item))) {
        return false;
    }
    char *text = item;
    for (uint32_t i = 0; i < zone->z_item_bytes && text[i] != '\0'; i++) {
        text[i] = (char)toupper((unsigned char)text[i]);
    }
    if (!succeeded("put", sm_queue_put(answers, zone, item, 30 * SECOND_NS))) {
        succeeded("free", sm_zone_free(zone, item, NULL));
        return false;
    }
    return true;
}

/* Allocates an item of our own and sends it after the answers. */
static bool say_goodbye(struct sm_arena *arena, struct sm_queue *answers, long count) {
    struct sm_zone *zone;
    void *item;
    if (!succeeded("zone sentence", sm_zone_open(arena, "sentence", NULL, &zone)) ||
        !succeeded("alloc", sm_zone_alloc(zone, SM_M_WAITOK | SM_M_ZERO, NULL, 30 * SECOND_NS, &item))) {
        return false;
    }
    snprintf(item, zone->z_item_bytes, "answered %ld from CPU %" PRIu32, count, arena->a_cpu_id);
    if (!succeeded("put", sm_queue_put(answers, zone, item, 30 * SECOND_NS))) {
        succeeded("free", sm_zone_free(zone, item, NULL));
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (count < 1) {
        fprintf(stderr, "usage: answer NAME COUNT\n");
        return 2;
    }
    struct sm_arena *arena = attach(argv[1]);
    if (arena == NULL) {
        return 1;
    }
    struct sm_queue *questions = NULL, *answers = NULL;
    bool fine = succeeded("queue questions", sm_queue_open(arena, "questions", 0, &questions)) &&
                succeeded("queue answers", sm_queue_open(arena, "answers", 0, &answers));
    for (long i = 0; fine && i < count; i++) {
        fine = answer_one(questions, answers);
    }
    fine = fine && say_goodbye(arena, answers, count);
    if (questions != NULL) {
        sm_queue_close(questions);
    }
    if (answers != NULL) {
        sm_queue_close(answers);
    }
    fine = succeeded("detach", sm_arena_detach(arena)) && fine;
    sm_arena_close(arena);
    return fine ? 0 : 1;
}
