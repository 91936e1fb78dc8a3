/* order.h - the relation between classes: adopting an order, keeping its closure, finding the cycle that a new order
 * would close. Everything here is called with the slow lock held, but for w_order_known.
 */
#ifndef W_ORDER_H
#define W_ORDER_H

#include "block.h"

/* The kind of an order: how the first is held, and how the second is asked for. */
static inline uint32_t w_order_kind(uint32_t held_mode, uint32_t mode) {
    return W_EN << ((held_mode == W_EXCLUSIVE ? 0 : 2) + (mode == W_SHARED_RECURSIVE ? 1 : 0));
}

/* Without a lock: this order was judged before. */
static inline bool w_order_known(uint32_t cell, uint32_t kind) {
    return (cell & (W_ORDER_KNOWN | kind)) == (W_ORDER_KNOWN | kind);
}

/* A path from `from` to `to` along adopted orders that blocks when closed by an order of `kind` from `to` to `from`.
 * Fills cycle with the classes from `from` to `to`. Returns how many there are, 0: no such path. */
uint32_t w_order_path(struct w_block *b, uint32_t from, uint32_t to, uint32_t kind, uint32_t cycle[W_CYCLE]);

/* What an edge is to say of its ends. */
struct w_order_ends {
    uint32_t o_stack[2], o_mode[2];
    uint32_t o_gate[W_GATES], o_gates;
    uint64_t o_who;
    uint32_t o_flags; /* W_EDGE_* */
};
/* Enters the order first -> second of this kind, and adopts it into the closure unless it is a reversal. Returns the edge's id, W_NONE: the
 * table is full, and checking is off. */
uint32_t w_order_enter(struct w_block *b, uint32_t first, uint32_t second, uint32_t kind,
                       const struct w_order_ends *ends);
/* An edge for the report that two locks of one class are taken in both orders: it says where `older` was, and who made
 * either. W_NONE: the table is full, the report goes without. */
uint32_t w_order_inside(struct w_block *b, const struct w_pair_shm *older, const struct w_pair_shm *newer);
/* Leaves in the edge's gates only what is in the list. */
void w_order_regate(struct w_block *b, struct w_edge_shm *e, const uint32_t *gates, uint32_t count);
/* Cells and closure anew from the live edges (W2, W3). */
void w_order_derive(struct w_block *b);
bool w_order_blessed(const struct w_block *b, uint32_t first, uint32_t second);
enum sm_err w_order_bless(struct w_block *b, uint32_t first, uint32_t second); /* SM_TABLE_FULL */

static inline struct w_edge_shm *w_edge_of(const struct w_block *b, uint32_t cell) {
    uint32_t id = cell >> W_EDGE_SHIFT;
    return id != 0 && id <= b->b_max_edges ? &b->b_edges[id - 1] : NULL;
}

#endif
