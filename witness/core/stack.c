/* stack.c - the stores of frames and stacks, each entry once, found by hash. Takes the slow lock.
 *
 * Crash windows: filled, published by the count, entered in the index, as class.c.
 */
#define _GNU_SOURCE
#include "stack.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "class.h"

static uint32_t published(const uint32_t *count, uint32_t most) {
    uint32_t n = sm_load_acq(count); /* pairs with the release store that published the last entry */
    return n < most ? n : most;
}

static void enter(uint32_t *index, uint32_t slots, uint64_t hash, uint32_t id) {
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t *slot = &index[((uint32_t)hash + i) & (slots - 1)];
        uint32_t have = sm_load_rlx(slot);
        if (have == id) {
            return;
        }
        if (have == 0) {
            sm_store_rel(slot, id);
            return;
        }
    }
}

void w_stack_derive(struct w_block *b) {
    for (uint32_t i = 0, n = published(&b->b_header->h_frames, b->b_max_frames); i < n; i++) {
        enter(b->b_frame_index, b->b_frame_slots, b->b_frames[i].f_hash, i + 1);
    }
    for (uint32_t i = 0, n = published(&b->b_header->h_stacks, b->b_max_stacks); i < n; i++) {
        enter(b->b_stack_index, b->b_stack_slots, b->b_stacks[i].s_hash, i + 1);
    }
}

/* A path keeps its end: that is what tells files apart. */
static void text_end(char *to, const char *from, size_t room) {
    size_t n = strlen(from);
    memset(to, 0, room);
    if (n >= room) {
        from += n - (room - 1);
        n = room - 1;
    }
    memcpy(to, from, n);
}

/* Slow lock held. 0: full. */
static uint32_t frame_get(struct w_block *b, const struct w_frame *frame) {
    struct w_frame_shm want = {.f_line = frame->f_line};
    text_end(want.f_file, frame->f_file, sizeof want.f_file);
    text_end(want.f_function, frame->f_function, sizeof want.f_function);
    uint64_t hash = w_hash(W_HASH_SEED, &want.f_line, sizeof want - offsetof(struct w_frame_shm, f_line));
    uint32_t count = published(&b->b_header->h_frames, b->b_max_frames);
    for (uint32_t i = 0; i < b->b_frame_slots; i++) {
        uint32_t id = b->b_frame_index[((uint32_t)hash + i) & (b->b_frame_slots - 1)];
        if (id == 0) {
            break;
        }
        if (id <= count && b->b_frames[id - 1].f_hash == hash &&
            memcmp(&b->b_frames[id - 1].f_line, &want.f_line, sizeof want - offsetof(struct w_frame_shm, f_line)) ==
                0) {
            return id;
        }
    }
    if (count == b->b_max_frames) {
        return 0;
    }
    want.f_hash = hash;
    b->b_frames[count] = want;
    w_crash_point(W_STEP_FRAME_FILLED);
    sm_store_rel(&b->b_header->h_frames, count + 1);
    w_crash_point(W_STEP_FRAME_PUBLISHED);
    enter(b->b_frame_index, b->b_frame_slots, hash, count + 1);
    return count + 1;
}

/* Slow lock held. 0: full. */
static uint32_t stack_get(struct w_block *b, const uint32_t *frames, uint32_t n) {
    uint64_t hash = w_hash(W_HASH_SEED, frames, n * sizeof *frames);
    uint32_t count = published(&b->b_header->h_stacks, b->b_max_stacks);
    for (uint32_t i = 0; i < b->b_stack_slots; i++) {
        uint32_t id = b->b_stack_index[((uint32_t)hash + i) & (b->b_stack_slots - 1)];
        if (id == 0) {
            break;
        }
        if (id <= count) {
            const struct w_stack_shm *s = &b->b_stacks[id - 1];
            if (s->s_hash == hash && s->s_count == n && memcmp(s->s_frame, frames, n * sizeof *frames) == 0) {
                return id;
            }
        }
    }
    if (count == b->b_max_stacks) {
        return 0;
    }
    struct w_stack_shm *s = &b->b_stacks[count];
    memset(s, 0, sizeof *s);
    s->s_hash = hash;
    s->s_count = n;
    memcpy(s->s_frame, frames, n * sizeof *frames);
    w_crash_point(W_STEP_STACK_FILLED);
    sm_store_rel(&b->b_header->h_stacks, count + 1);
    w_crash_point(W_STEP_STACK_PUBLISHED);
    enter(b->b_stack_index, b->b_stack_slots, hash, count + 1);
    return count + 1;
}

uint32_t w_stack_get(struct w_block *b, const struct w_frame *frames, uint32_t count) {
    uint32_t ids[W_FRAMES], n = 0, id = 0;
    if (count == 0 || !w_block_lock(b)) {
        return W_NONE;
    }
    for (; n < count && n < W_FRAMES; n++) {
        if ((ids[n] = frame_get(b, &frames[n])) == 0) {
            break;
        }
    }
    if (n != 0) {
        id = stack_get(b, ids, n);
    }
    if (id == 0) {
        (void)sm_add_rlx(&b->b_header->h_lost, 1);
    }
    w_block_unlock(b);
    return id;
}

uint32_t w_stack_of_address(struct w_block *b, void *address) {
    Dl_info where;
    char function[W_FUNCTION_BYTES];
    if (address == NULL) {
        return W_NONE;
    }
    struct w_frame f = {.f_file = "?", .f_function = function};
    snprintf(function, sizeof function, "%p", address);
    if (dladdr(address, &where) != 0) {
        f.f_file = where.dli_fname ? where.dli_fname : "?";
        uintptr_t base = (uintptr_t)(where.dli_sname ? where.dli_saddr : where.dli_fbase);
        snprintf(function, sizeof function, "%.40s+0x%lx", where.dli_sname ? where.dli_sname : "",
                 (unsigned long)((uintptr_t)address - base));
    }
    return w_stack_get(b, &f, 1);
}

uint32_t w_stack_here(struct w_block *b, void *address) {
    uint32_t id = b->b_capture ? b->b_capture(b, b->b_ctx, address) : W_NONE;
    return id != W_NONE ? id : w_stack_of_address(b, address);
}
