/* layout.h - every byte that the processes under one fault plan share: the points, their programs, the sweep, the log of
 * what was injected, who is paused. Owns the format; holds no functions. Must not know an arena: a block is any memory
 * that processes share, usually the region "faultinj" of an arena, or an anonymous mapping that children inherit.
 *
 *  LOCK KEY   (c) written before it is published, constant after; (x) atomic; (p) of a slot: written by who claimed it,
 *  read by anybody with atomic loads and thrown away if the point's p_live changed meanwhile
 *
 *  The order of the tables in the block, each on a cache line:
 *
 *      +--------+--------+-------+-----+--------+
 *      | header | points | slots | log | pauses |
 *      +--------+--------+-------+-----+--------+
 *
 *  No lock is ever taken here, and no memory allocated: a point may be reached with the allocator's own locks held, in a
 *  process that dies at the next instruction.
 *
 *  F1: points below h_points are whole, and only the one at h_points may be in the making.
 *  F2: a point's p_live names no slot, or one whose program is whole and whose tag is p_live's.
 *  F3: a state word of a slot counts for the program of its tag alone; a late count for an earlier one is lost.
 *  F4: a log entry whose stamp is its number is whole.
 *  F5: a slot that no p_live names, and that no living process claimed, is free, whatever its state word says.
 */
#ifndef FI_LAYOUT_H
#define FI_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define FI_MAGIC 0x6a6e69746c756166ull /* "faultinj" */
#define FI_VERSION 1u
#define FI_LINE 64u
#define FI_ENTRY_BYTES 128u
#define FI_NAME_BYTES 64u
#define FI_SUBJECT_BYTES 32u
#define FI_WORDS_BYTES 64u /* a term's text or stack pattern */
#define FI_TEXT_BYTES 376u /* a program as people write it */
#define FI_TERMS 8u
#define FI_MOST_POINTS 1024u
#define FI_SELECTED_WORDS 16u /* a bit for each point */
#define FI_MOST_SLOTS 4096u
#define FI_MOST_LOG 65536u
#define FI_MOST_PAUSES 1024u
#define FI_NONE 0xffffffffu

enum fi_sweep { FI_OFF, FI_COUNT, FI_TRANSIENT, FI_PERSISTENT, FI_KILL, FI_PAIR, FI_KILL_PAIR, FI_DIE, FI_SWEEPS };

/*  The header.
 *  OFFSET SIZE FIELD
 *       0  128 h_entry       "module:function" that the language on top calls when it attaches; NUL-terminated
 *     128    8 h_magic       FI_MAGIC, stored last, with release order
 *     136    4 h_version     FI_VERSION
 *     140    4 h_core        points of the core's catalogue, with "crash.step" after them; other processes' must be the same
 *     144    4 h_max_points
 *     148    4 h_max_slots
 *     152    4 h_max_log
 *     156    4 h_max_pauses
 *     160    8 h_block_bytes
 *     168    8 h_created_ns  CLOCK_REALTIME
 *     176    8 h_former      pid of who formats it
 *     184    8 h_seed        of the random numbers
 *     192    4 h_points      points published
 *     196    4 h_tags        publications of programs so far; the next one's tag
 *     200    8 h_log_next    log entries begun
 *     208    8 h_lost        programs or pauses for which there was no room
 *     256    4 w_kind        the sweep: enum fi_sweep, stored last
 *     260    4 w_stage       of KILL_PAIR: 1 after the first kill
 *     264    8 w_n
 *     272    8 w_n2
 *     320    8 w_reached     selected points reached
 *     328    8 w_injected
 *     336    8 w_crashes     crash points reached
 *     344    8 w_second      what KILL_PAIR counts after the first kill
 *     384  128 w_selected    a bit for each point
 */
struct fi_header {
    char h_entry[FI_ENTRY_BYTES]; /* (c) */
    uint64_t h_magic; /* (x) */
    uint32_t h_version, h_core, h_max_points, h_max_slots, h_max_log, h_max_pauses; /* (c) */
    uint64_t h_block_bytes; /* (c) */
    int64_t h_created_ns; /* (c) */
    uint64_t h_former; /* (x) */
    uint64_t h_seed; /* (x) */
    uint32_t h_points; /* (x) */
    uint32_t h_tags; /* (x) */
    uint64_t h_log_next; /* (x) */
    uint64_t h_lost; /* (x) */
    uint8_t h_pad0[40];
    uint32_t w_kind, w_stage; /* (x) likewise all w_ */
    uint64_t w_n, w_n2;
    uint8_t h_pad1[40];
    uint64_t w_reached, w_injected, w_crashes, w_second;
    uint8_t h_pad2[32];
    uint64_t w_selected[FI_SELECTED_WORDS];
};
_Static_assert(offsetof(struct fi_header, h_points) == 192, "layout");
_Static_assert(offsetof(struct fi_header, w_kind) == 256, "layout");
_Static_assert(offsetof(struct fi_header, w_reached) == 320, "layout");
_Static_assert(offsetof(struct fi_header, w_selected) == 384, "layout");
_Static_assert(sizeof(struct fi_header) == 512, "layout");
_Static_assert(FI_SELECTED_WORDS * 64 == FI_MOST_POINTS, "every point has its bit");

/*  p_live, and the state word of a slot
 *
 *      63                      40 39                      0      63            32 31           0
 *      +-------------------------+------------------------+      +---------------+--------------+
 *      | tag of the program      | slot + 1, 0: none      |      | tag or pid    | s_state      |
 *      +-------------------------+------------------------+      +---------------+--------------+
 *
 *  A count of a term has the shape of p_live, with the count below. A tag wraps after 2^24 publications: a reader would
 *  have to stand still between two of its loads for exactly so many. */
#define FI_TAG_SHIFT 40
#define FI_TAGS ((1u << 24) - 1)
#define FI_LOW ((1ull << FI_TAG_SHIFT) - 1)

enum fi_point_state { FI_P_FREE, FI_P_MAKING, FI_P_CORE, FI_P_DECLARED };

struct fi_point_shm {
    char p_name[FI_NAME_BYTES]; /* (c) */
    uint64_t p_state; /* (x) pid of its maker << 32 | enum fi_point_state */
    uint64_t p_live; /* (x) */
    uint32_t p_resume; /* (x) a futex: grows when who is paused here may go on */
    uint32_t p_error; /* (c) enum sm_err that a core point reports */
    uint8_t p_pad0[40];
    uint64_t p_reached, p_injected; /* (x) */
    uint64_t p_draws; /* (x) random numbers drawn */
    uint8_t p_pad1[40];
};
_Static_assert(sizeof(struct fi_point_shm) == 3 * FI_LINE, "layout");

/* X(id, name): what a term does. Append only; numbers are in blocks and in encoded programs. */
#define FI_ACTIONS(X)                                                                                                  \
    X(FI_A_OFF, "off")                                                                                                 \
    X(FI_A_RETURN, "return")                                                                                           \
    X(FI_A_RAISE, "raise")                                                                                             \
    X(FI_A_PANIC, "panic")                                                                                             \
    X(FI_A_KILL, "kill")                                                                                               \
    X(FI_A_PRINT, "print")                                                                                             \
    X(FI_A_SLEEP, "sleep")                                                                                             \
    X(FI_A_DELAY, "delay")                                                                                             \
    X(FI_A_PAUSE, "pause")                                                                                             \
    X(FI_A_YIELD, "yield")                                                                                             \
    X(FI_A_BREAK, "break")                                                                                             \
    X(FI_A_CALLBACK, "callback")                                                                                       \
    X(FI_A_ARM, "arm")                                                                                                 \
    X(FI_A_RATE, "failure_rate") /* of the log alone: what debug.malloc.failure_rate made fail */

enum fi_action {
#define FI_ACTION_ENUM(id, name) id,
    FI_ACTIONS(FI_ACTION_ENUM)
#undef FI_ACTION_ENUM
        FI_ACTION_COUNT
};

enum fi_code { FI_C_DEFAULT, FI_C_SM, FI_C_ERRNO, FI_C_NUMBER }; /* what t_number of a return means */

/* Bits of t_flags: which of a term's fields count. */
#define FI_T_PERCENT 1u
#define FI_T_COUNT 2u
#define FI_T_NTH 4u
#define FI_T_EVERY 8u
#define FI_T_INTERVAL 16u
#define FI_T_SPACE 32u
#define FI_T_PID 64u
#define FI_T_CPU 128u
#define FI_T_SUBJECT 256u
#define FI_T_SIZE 512u
#define FI_T_FLAGS 1024u
#define FI_T_STACK 2048u
#define FI_T_NOT_STACK 4096u
#define FI_T_STEP 8192u
#define FI_T_ALL 16383u

struct fi_term {
    uint32_t t_action, t_flags;
    uint32_t t_millionths;
    uint32_t t_target; /* arm: number of the point */
    uint64_t t_count, t_nth, t_every, t_interval, t_space;
    int64_t t_number; /* return: the code; sleep: ms; delay: us */
    uint32_t t_code; /* enum fi_code */
    uint32_t t_pid, t_cpu, t_step;
    uint64_t t_size;
    uint32_t t_want; /* flags that must all be set */
    uint32_t t_template; /* arm: in an encoded program its place, in a slot the number of the slot */
    char t_subject[FI_SUBJECT_BYTES]; /* a glob, NUL-padded, likewise the following */
    char t_text[FI_WORDS_BYTES]; /* message, exception or "module:function" */
    char t_stack[FI_WORDS_BYTES]; /* glob of FILE:FUNCTION */
};
_Static_assert(sizeof(struct fi_term) == 256, "layout");

struct
    fi_program { /* what an encoded program consists of: the first is the point's own, the rest are templates of arm */
    uint32_t g_terms;
    uint32_t g_pad;
    char g_text[FI_TEXT_BYTES];
    struct fi_term g_term[FI_TERMS];
};
_Static_assert(sizeof(struct fi_program) == 384 + 256 * FI_TERMS, "layout");

#define FI_OWNER_BITS 13 /* high half of a TEMPLATE's state: low bits of the tag, then slot + 1 of its program */
enum fi_slot_state { FI_S_FREE, FI_S_CLAIMED, FI_S_LIVE, FI_S_TEMPLATE };

struct fi_term_state { /* (x) tag << FI_TAG_SHIFT | count */
    uint64_t x_seen; /* times it was come by, as far as a trigger needs it; see s_base too */
    uint64_t x_fired;
    uint64_t x_last; /* x_seen when it fired last, for interval */
    uint64_t x_space; /* bytes that went by, for space */
};

struct fi_slot_shm {
    uint64_t s_state; /* (x) CLAIMED: pid << 32; LIVE: tag << 32; TEMPLATE: see FI_OWNER_BITS */
    uint32_t s_pid; /* (p) who set it */
    uint32_t s_point; /* (p) */
    int64_t s_set_ns; /* (p) CLOCK_REALTIME */
    uint64_t s_base; /* (x) p_reached when it was set: the first term, without filters, counts from here */
    uint8_t s_pad[32];
    struct fi_term_state s_term[FI_TERMS];
    struct fi_program s_program; /* (p) */
};
_Static_assert(sizeof(struct fi_slot_shm) % FI_LINE == 0, "layout");

struct fi_log_shm {
    uint64_t l_stamp; /* (x) its number + 1 once it is whole; likewise all */
    uint64_t l_sequence; /* selected points reached in a sweep, else reachings of its point */
    int64_t l_time_ns; /* CLOCK_REALTIME */
    uint64_t l_bytes;
    int64_t l_number;
    uint32_t l_point, l_action, l_code, l_step, l_pid, l_tid;
    char l_subject[FI_SUBJECT_BYTES];
    uint8_t l_pad[32];
};
_Static_assert(sizeof(struct fi_log_shm) == 2 * FI_LINE, "layout");

struct fi_pause_shm {
    uint64_t z_who; /* (x) pid << 32 | tid, 0: free */
    uint64_t z_point; /* (x) */
    int64_t z_since_ns; /* (x) CLOCK_REALTIME */
    uint64_t z_pad;
};

#endif
