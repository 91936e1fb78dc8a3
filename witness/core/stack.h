/* stack.h - call stacks, each kept once. Takes the slow lock to keep a new one; must not walk one: that is the language's
 * business, or the return address's.
 */
#ifndef W_STACK_H
#define W_STACK_H

#include "block.h"

struct w_frame {
    const char *f_file, *f_function;
    uint32_t f_line;
};

/* The id of this stack, innermost frame first; what is beyond W_FRAMES is cut off. W_NONE: no room, or the slow lock's
 * holder does not answer. No lock held. */
uint32_t w_stack_get(struct w_block *b, const struct w_frame *frames, uint32_t count);
/* A stack of one frame: the function that the address is in, as far as the loader knows. W_NONE for NULL. */
uint32_t w_stack_of_address(struct w_block *b, void *address);
/* What the language on top says of the calling thread, else the address. */
uint32_t w_stack_here(struct w_block *b, void *address);
void w_stack_derive(struct w_block *b);

#endif
