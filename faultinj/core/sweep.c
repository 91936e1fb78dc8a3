/* sweep.c - counting reached points over all processes of a block, and choosing the n-th. After SQLite's and OpenSSL's way
 * of failing each allocation in turn. Takes no lock: every choice is made by the one atomic addition that counts.
 */
#include "sweep.h"

enum sm_err fi_sweep_set(struct fi_block *b, enum fi_sweep kind, uint64_t n, uint64_t n2, const uint64_t *selected) {
    struct fi_header *h = b->b_header;
    bool counts = kind == FI_TRANSIENT || kind == FI_PERSISTENT || kind == FI_KILL || kind == FI_PAIR ||
                  kind == FI_KILL_PAIR || kind == FI_DIE;
    bool pairs = kind == FI_PAIR || kind == FI_KILL_PAIR;
    if (kind >= FI_SWEEPS || (counts && n == 0) || (pairs && n2 == 0)) {
        return SM_INVALID;
    }
    sm_store_seq(&h->w_kind, FI_OFF); /* first; killed from here to the last store, nothing is injected */
    sm_store_rlx(&h->w_stage, 0);
    sm_store_rlx(&h->w_n, n);
    sm_store_rlx(&h->w_n2, n2);
    sm_store_rlx(&h->w_reached, 0);
    sm_store_rlx(&h->w_injected, 0);
    sm_store_rlx(&h->w_crashes, 0);
    sm_store_rlx(&h->w_second, 0);
    for (uint32_t i = 0; i < FI_SELECTED_WORDS; i++) {
        sm_store_rlx(&h->w_selected[i], selected != NULL ? selected[i] : ~0ull);
    }
    sm_store_rel(&h->w_kind, (uint32_t)kind); /* pairs with the loads below */
    return SM_OK;
}

static bool second(struct fi_header *h) {
    return sm_load_acq(&h->w_stage) != 0 && sm_add_rlx(&h->w_second, 1) + 1 == sm_load_rlx(&h->w_n2);
}

bool fi_sweep_fault(struct fi_block *b, uint32_t point, uint64_t *sequence) {
    struct fi_header *h = b->b_header;
    uint32_t kind = sm_load_acq(&h->w_kind);
    if (kind == FI_OFF || !(sm_load_rlx(&h->w_selected[point / 64]) >> (point % 64) & 1)) {
        return false;
    }
    uint64_t k = *sequence = sm_add_rlx(&h->w_reached, 1) + 1;
    uint64_t n = sm_load_rlx(&h->w_n);
    bool fails = ((kind == FI_TRANSIENT || kind == FI_DIE) && k == n) || (kind == FI_PERSISTENT && k >= n) ||
                 (kind == FI_PAIR && (k == n || k == n + sm_load_rlx(&h->w_n2))) || (kind == FI_KILL_PAIR && second(h));
    if (fails) {
        (void)sm_add_rlx(&h->w_injected, 1);
    }
    return fails;
}

bool fi_sweep_crash(struct fi_block *b, uint64_t *sequence) {
    struct fi_header *h = b->b_header;
    uint32_t kind = sm_load_acq(&h->w_kind);
    if (kind == FI_OFF) {
        return false;
    }
    bool kills = kind == FI_KILL_PAIR && second(h);
    uint64_t k = *sequence = sm_add_rlx(&h->w_crashes, 1) + 1;
    if ((kind == FI_KILL || kind == FI_KILL_PAIR) && k == sm_load_rlx(&h->w_n)) {
        sm_store_rel(&h->w_stage, 1); /* pairs with the load in `second`: who recovers counts from here */
        kills = true;
    }
    if (kills) {
        (void)sm_add_rlx(&h->w_injected, 1);
    }
    return kills;
}
