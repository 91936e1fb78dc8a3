/* ours_duo.c - shmalloc between two processes: allocate here and free there, and two at once on churn. Each process has
 * an attachment, a CPU slot and buckets of its own; items go over by the arena's queue. */
#include "ours.h"

#include "duo.h"

#define ITEMS 8192u
#define DEPTH 1024u
#define CROSS_ITEMS 32768u
#define CHURN_LIVE 32u /* items held at a time: within what one CPU's buckets hold */
#define CHURN_OPS 256u
#define WINDOW_NS 1e6

static int object;
static struct sm_arena *arena;
static struct sm_zone *zone;
static struct sm_queue *queue;
static void *held[CHURN_LIVE];
static uint32_t churn_seed = 1;

static bool duo_open(void *ctx) {
    (void)ctx;
    arena = NULL;
    enum sm_err e = sm_arena_attach(object, true, NULL, "second", &arena);
    if (e == SM_OK) {
        e = sm_zone_open(arena, "items", NULL, &zone);
    }
    if (e == SM_OK) {
        e = sm_queue_open(arena, "cross", 0, &queue);
    }
    memset(held, 0, sizeof held);
    if (e != SM_OK) {
        ours_refuse("attach, zone or queue", e);
    }
    return e == SM_OK;
}

static void duo_close(void *ctx) {
    (void)ctx;
    sm_queue_close(queue);
    sm_arena_detach(arena);
    sm_arena_close(arena);
}

static bool cross_put(void **item) {
    for (uint32_t done = 0, put; done < BENCH_BULK; done += put) {
        enum sm_err e = sm_queue_put_bulk(queue, zone, BENCH_BULK - done, item + done, 5000000000, &put);
        if (e != SM_OK) {
            ours_refuse("sm_queue_put_bulk", e);
            return false;
        }
    }
    return true;
}

/* One call an item to allocate and to free; the queue takes 64 at a time. */
static bool cross_produce(void *ctx, uint64_t n) {
    void *item[BENCH_BULK];
    (void)ctx;
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        for (unsigned k = 0; k < BENCH_BULK; k++) {
            if ((item[k] = ours_alloc(zone)) == NULL) {
                bench_refuse("no item");
                return false;
            }
            *(uint64_t *)item[k] = i + k;
        }
        if (!cross_put(item)) {
            return false;
        }
    }
    return true;
}

static bool cross_consume(void *ctx, uint64_t n) {
    void *item[BENCH_BULK];
    struct sm_zone *from[BENCH_BULK];
    (void)ctx;
    for (uint64_t i = 0; i < n;) {
        uint32_t got;
        enum sm_err e = sm_queue_get_bulk(queue, BENCH_BULK, 5000000000, from, item, &got);
        if (e != SM_OK) {
            ours_refuse("sm_queue_get_bulk", e);
            return false;
        }
        for (uint32_t k = 0; k < got; k++) {
            if (*(uint64_t *)item[k] != i + k || !ours_free(from[k], item[k])) {
                return false;
            }
        }
        i += got;
    }
    return true;
}

/* The same with bulk calls everywhere. */
static bool bulk_produce(void *ctx, uint64_t n) {
    void *item[BENCH_BULK];
    (void)ctx;
    for (uint64_t i = 0; i < n; i += BENCH_BULK) {
        uint32_t got;
        enum sm_err e = sm_zone_alloc_bulk(zone, SM_M_NOWAIT, 0, BENCH_BULK, item, &got);
        if (e != SM_OK) {
            ours_refuse("sm_zone_alloc_bulk", e);
            return false;
        }
        for (unsigned k = 0; k < BENCH_BULK; k++) {
            *(uint64_t *)item[k] = i + k;
        }
        if (!cross_put(item)) {
            return false;
        }
    }
    return true;
}

static bool bulk_consume(void *ctx, uint64_t n) {
    void *item[BENCH_BULK];
    struct sm_zone *from[BENCH_BULK];
    (void)ctx;
    for (uint64_t i = 0; i < n;) {
        uint32_t got, done;
        enum sm_err e = sm_queue_get_bulk(queue, BENCH_BULK, 5000000000, from, item, &got);
        if (e != SM_OK) {
            ours_refuse("sm_queue_get_bulk", e);
            return false;
        }
        for (uint32_t k = 0; k < got; k++) {
            if (*(uint64_t *)item[k] != i + k) {
                return false;
            }
        }
        if (sm_zone_free_bulk(from[0], got, item, &done) != SM_OK) { /* one zone feeds this queue */
            return false;
        }
        i += got;
    }
    return true;
}

/* Replaces a random one of the items held. */
static bool churn(void *ctx, uint64_t n) {
    (void)ctx;
    uint32_t seed = churn_seed;
    for (uint64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        void **place = &held[(seed >> 16) % CHURN_LIVE];
        if (*place != NULL && !ours_free(zone, *place)) {
            return false;
        }
        if ((*place = ours_alloc(zone)) == NULL) {
            return false;
        }
        *(uint64_t *)*place = i;
    }
    churn_seed = seed;
    return true;
}

static void churn_close(void *ctx) {
    for (unsigned k = 0; k < CHURN_LIVE; k++) {
        if (held[k] != NULL) {
            ours_free(zone, held[k]);
            held[k] = NULL;
        }
    }
    if (ctx == NULL) {
        duo_close(NULL);
    }
}

static const struct duo_work cross_work = {duo_open, cross_produce, cross_consume, duo_close};
static const struct duo_work cross_bulk_work = {duo_open, bulk_produce, bulk_consume, duo_close};
static const struct duo_work churn_work = {duo_open, churn, churn, churn_close};

static double run_cross(void) {
    return duo_best(&cross_work, NULL, CROSS_ITEMS);
}
static double run_cross_bulk(void) {
    return duo_best(&cross_bulk_work, NULL, CROSS_ITEMS);
}
static double run_scaling(void) {
    double value = duo_scaling(&churn_work, NULL, CHURN_OPS, WINDOW_NS);
    churn_close(arena); /* the parent's items; it stays attached */
    return value;
}

static const struct bench_case cases[] = {
    {"cross", run_cross}, {"cross_bulk", run_cross_bulk}, {"scaling", run_scaling}};

int main(int argc, char **argv) {
    bench_arguments(argc, argv);
    object = ours_object();
    enum sm_err e = ours_arena(object, 256u << 20, &arena);
    if (e == SM_OK) {
        e = ours_zone(arena, "items", BENCH_ITEM_BYTES, ITEMS, &zone);
    }
    if (e == SM_OK) {
        e = sm_queue_create(arena, "cross", DEPTH, &queue);
    }
    if (e != SM_OK) {
        fprintf(stderr, "arena, zone or queue: %s (%s)\n", sm_err_name(e), sm_err_text(e));
        return 1;
    }
    int status = BENCH_SERVE(cases);
    duo_close(NULL);
    close(object);
    return status;
}
