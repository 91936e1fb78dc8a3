/* nested.h - the loop of every lock checker in the table: take a, take b, give b back, give a back. Owns its length. */
#ifndef BENCH_NESTED_H
#define BENCH_NESTED_H

#define NESTED_OPS 256u /* between two looks at the clock */

#endif
