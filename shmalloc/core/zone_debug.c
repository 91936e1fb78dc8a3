/* zone_debug.c - trash fill against use after free, redzones against overruns. Takes no lock: runs on items that only
 * this CPU can see. After UMA's trash_ctor/trash_dtor (uma_dbg.c) and redzone(9).
 */
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "zone_impl.h"

#define TRASH 0xdeadc0deu
#define CANARY 0x42

static const uint32_t trash_word = TRASH;

int sm_debug_trash_init(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)arg;
    (void)how;
    (void)ctx;
    uint8_t *p = mem;
    for (uint32_t i = 0; i < bytes; i++) {
        p[i] = ((const uint8_t *)&trash_word)[i & 3];
    }
    return 0;
}

void sm_debug_trash(struct sm_zone *z, sm_off_t item) {
    (void)sm_debug_trash_init(z->z_base + item + z->z_item_off, z->z_item_bytes, NULL, 0, NULL);
}

enum sm_err sm_debug_trash_check(struct sm_zone *z, sm_off_t item) {
    const uint8_t *p = z->z_base + item + z->z_item_off;
    for (uint32_t i = 0; i < z->z_item_bytes; i++) {
        if (p[i] != ((const uint8_t *)&trash_word)[i & 3]) {
            uint32_t val = 0;
            uint32_t left = z->z_item_bytes - (i & ~3u);
            memcpy(&val, p + (i & ~3u), left < 4 ? left : 4);
            sm_event_log(z->z_arena, SM_EV_WARNING, "[zone: %s] Memory modified after free 0x%llx(%u) val=%x @ +%u",
                         z->z_shm->z_name, (unsigned long long)item, z->z_item_bytes, val, i);
            return SM_MODIFIED;
        }
    }
    return SM_OK;
}

void sm_debug_redzone(struct sm_zone *z, sm_off_t item) {
    uint8_t *p = z->z_base + item;
    memset(p, CANARY, SM_REDZONE_BYTES);
    memset(p + SM_REDZONE_BYTES + z->z_item_bytes, CANARY, SM_REDZONE_BYTES);
}

static bool canary_intact(const uint8_t *p) {
    for (int i = 0; i < SM_REDZONE_BYTES; i++) {
        if (p[i] != CANARY) {
            return false;
        }
    }
    return true;
}

enum sm_err sm_debug_redzone_check(struct sm_zone *z, sm_off_t item) {
    const uint8_t *p = z->z_base + item;
    bool before = canary_intact(p), after = canary_intact(p + SM_REDZONE_BYTES + z->z_item_bytes);
    if (before && after) {
        return SM_OK;
    }
    sm_event_log(z->z_arena, SM_EV_WARNING, "[zone: %s] redzone %s item 0x%llx(%u) overwritten", z->z_shm->z_name,
                 before ? "after" : "before", (unsigned long long)item, z->z_item_bytes);
    return SM_MODIFIED;
}
