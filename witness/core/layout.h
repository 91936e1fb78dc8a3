/* layout.h - every byte that the processes under one witness share: lock classes, the order between them, stacks, what
 * each thread holds, and what was found. Owns the format; holds no functions. Must not know an arena: a block is any
 * memory that processes share, usually the region "witness" of an arena.
 *
 *  LOCK KEY   (c) written before the entry is published, constant after; (s) the block's slow lock; (t) the thread that
 *  owns the slot; (l) relaxed stores of several writers, a figure that may lose a count; (x) atomic
 *
 *  The order of the tables in the block, each on a cache line:
 *
 *      +--------+---------+------------+--------+-------+--------+--------+---------+---------+-----------+-------+-------+
 *      | header | classes | contention | matrix | edges | stacks | frames | reports | threads | processes | index | pairs |
 *      +--------+---------+------------+--------+-------+--------+--------+---------+---------+-----------+-------+-------+
 *
 *  Tables only grow. An entry is filled, then the table's count is stored with release order: who reads the count with
 *  acquire order finds whole entries, and needs no lock. A process killed while it fills an entry leaves it unpublished,
 *  and the next one fills it again.
 *
 *  W1: entries below a table's count are whole.
 *  W2: a matrix cell that names an edge names a live one between that row and column.
 *  W3: ANCESTOR and DESCENDANT are derived from the live edges that are no reversals; whoever takes the slow lock from
 *      the dead derives them again.
 *  W4: the index is derived from classes, frames and stacks, likewise.
 *  W5: a thread slot is written by the thread that t_owner names, and by nobody else while that one lives; but for
 *      t_given, by which another process says that it gave a lock back. A task's slot is written by its process.
 *  W6: what n_before[n_turn % 2] says is what the sums of that class were at its last reset, all of them at one time.
 *  W7: while t_wait_class names a class, t_wait_number and the rest of t_wait_* are those of one wait; two readings with
 *      the same number and beginning are of the same wait, and the thread was in it all the time between them.
 *  W8: a pair whose i_class is not 0 is whole. Pairs are forgotten, the oldest of a set first; nothing refers to one.
 */
#ifndef W_LAYOUT_H
#define W_LAYOUT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define W_MAGIC 0x7373656e74697773ull /* "switness" */
#define W_VERSION 2u
#define W_LINE 64u
#define W_ENTRY_BYTES 128u
#define W_NAME_BYTES 64u
#define W_KIND_BYTES 32u
#define W_FILE_BYTES 160u
#define W_FUNCTION_BYTES 64u
#define W_TEXT_BYTES 96u
#define W_THREAD_BYTES 16u
#define W_FRAMES 16u /* of one stack */
#define W_HELD 32u   /* locks that one thread holds at a time */
#define W_CYCLE 16u  /* classes that a report names */
#define W_GATES 4u
#define W_EDGE_THREADS 4u
#define W_REPORT_HELD 8u
#define W_NONE 0u /* ids of stacks and edges start at 1; class ids at 0 */
#define W_NO_CLASS 0xffffffffu

enum w_mode { W_EXCLUSIVE, W_SHARED, W_SHARED_RECURSIVE }; /* a recursive reader never waits for a waiting writer */

enum w_off_reason { W_ON, W_OFF_CLASSES, W_OFF_EDGES, W_OFF_ASKED };

/*  A CELL of the matrix, row a, column b
 *
 *      31                    12 11      8 7            0
 *      +-----------------------+---------+--------------+
 *      | edge a -> b           | kinds   | relation     |
 *      +-----------------------+---------+--------------+
 *
 *  relation: WITNESS's byte, as seen from the row. kinds: how the two ends were held and asked for, W_EN .. W_SR: the
 *  first letter says Exclusive or Shared, the second whether the second end was a recursive Reader. A path blocks only
 *  where no R is followed by an S (lockdep's strong path). */
#define W_PARENT 0x01u     /* the row was held when the column was taken */
#define W_ANCESTOR 0x02u   /* the column is reached from the row through others */
#define W_CHILD 0x04u      /* PARENT seen from the other end */
#define W_DESCENDANT 0x08u /* ANCESTOR seen from the other end */
#define W_REVERSAL 0x10u   /* found against the order, reported, not adopted */
#define W_ORDER_KNOWN 0x80u
#define W_EN 0x100u
#define W_ER 0x200u
#define W_SN 0x400u
#define W_SR 0x800u
#define W_KINDS 0xf00u
#define W_EDGE_SHIFT 12
#define W_MOST_EDGES ((1u << 20) - 2)
#define W_MOST_CLASSES 4096u
#define W_MOST_STACKS ((1u << 20) - 1)

/*  The header.
 *  OFFSET SIZE FIELD
 *       0  128 h_entry        "module:function" that the language on top calls when it attaches; NUL-terminated
 *     128    8 h_magic        W_MAGIC, stored last, with release order
 *     136    4 h_version      W_VERSION
 *     140    4 h_max_classes
 *     144    4 h_max_edges
 *     148    4 h_max_stacks
 *     152    4 h_max_frames
 *     156    4 h_max_reports
 *     160    4 h_max_threads
 *     164    4 h_max_processes
 *     168    8 h_block_bytes
 *     176    8 h_created_ns   CLOCK_REALTIME
 *     184    8 h_former      pid of who formatted it
 *     192    4 h_watch        1 on, 0 order checks off, -1 off for good
 *     196    4 h_stat         1: waits and holds are timed
 *     200    4 h_off_reason   enum w_off_reason
 *     204    4 h_pad0
 *     256    4 h_classes      entries published, likewise the following
 *     260    4 h_edges
 *     264    4 h_stacks
 *     268    4 h_frames
 *     272    4 h_reports
 *     276    4 h_missed       checks given up because the slow lock's holder did not answer in time
 *     280    4 h_lost         reports, stacks or held locks for which there was no room
 *     284    4 h_blessed      entries of h_bless
 *     288  512 h_bless        pairs of class ids whose reversal is allowed
 *     800    8 h_reset_ns     CLOCK_REALTIME of the last reset of the figures, 0: never
 *     808    4 h_thread_high  slots of threads that were ever taken are below
 *     832   64 h_lock         the slow lock: robust, process-shared
 */
struct w_header {
    char h_entry[W_ENTRY_BYTES]; /* (c) */
    uint64_t h_magic; /* (x) */
    uint32_t h_version; /* (c) and the rest of the geometry */
    uint32_t h_max_classes, h_max_edges, h_max_stacks, h_max_frames, h_max_reports, h_max_threads, h_max_processes;
    uint64_t h_block_bytes;
    int64_t h_created_ns;
    uint64_t h_former; /* pid of who formats it; (x) */
    int32_t h_watch; /* (x) its line is read by every check and written by hand alone */
    uint32_t h_stat; /* (x) */
    uint32_t h_off_reason; /* (s) */
    uint32_t h_pad0;
    uint8_t h_pad2[48];
    uint32_t h_classes; /* (s) read by anybody, likewise the rest */
    uint32_t h_edges;
    uint32_t h_stacks;
    uint32_t h_frames;
    uint32_t h_reports;
    uint32_t h_missed; /* (x) */
    uint32_t h_lost; /* (x) */
    uint32_t h_blessed; /* (s) */
#define W_MAX_BLESSED 64u
    uint32_t h_bless[W_MAX_BLESSED][2]; /* (s) */
    int64_t h_reset_ns; /* (s) */
    uint32_t h_thread_high; /* (x) */
    uint8_t h_pad3[20];
    union {
        pthread_mutex_t m;
        uint8_t bytes[64];
    } h_lock;
};
_Static_assert(offsetof(struct w_header, h_watch) == 192, "layout");
_Static_assert(offsetof(struct w_header, h_classes) == 256, "layout");
_Static_assert(offsetof(struct w_header, h_bless) == 288, "layout");
_Static_assert(offsetof(struct w_header, h_reset_ns) == 800, "layout");
_Static_assert(offsetof(struct w_header, h_lock) == 832, "layout");
_Static_assert(sizeof(struct w_header) % W_LINE == 0, "tables start on a cache line");

#define W_SLEEPABLE 0x01u  /* c_flags: who holds it may sleep */
#define W_RECURSABLE 0x02u /* its owner may take it again */
#define W_DUPOK 0x04u      /* two of the class may be held at a time */
#define W_SPIN 0x08u       /* its waiters do not sleep, so neither may its holder */
#define W_CORE 0x10u       /* the allocator's own: no stack of the language on top is taken */
#define W_NORELEASE 0x20u  /* giving it back is an error */
#define W_MANY 0x40u       /* more than one lock of the class was seen: it cannot gate */
#define W_SIGNAL 0x80u     /* one was given back by another thread than took it: no mutex, so it has no order */
#define W_PRIVATE 0x100u   /* of one process alone: nobody waits for it when that process is gone */
#define W_PAIRED 0x200u    /* its instances are never given out again: their order inside of the class is kept */
#define W_FILE 0x400u      /* the kernel gives it back when a file is closed, and tells nobody: it may be stale */
#define W_CLASS_FLAGS (0x3fu | W_PRIVATE | W_PAIRED | W_FILE) /* those that callers set; the others are found out */

/* A lock class: all locks of one name, kind and subclass. */
struct w_class_shm {
    char c_name[W_NAME_BYTES]; /* (c) */
    char c_kind[W_KIND_BYTES]; /* (c) */
    uint32_t c_subclass; /* (c) */
    uint32_t c_flags; /* (x) */
    uint32_t c_site; /* stack of its creation or first taking; (s) */
    uint32_t c_pad;
    uint64_t c_instance; /* the first lock seen, plus 1; (x) */
    uint64_t c_acquires; /* (l) */
};
_Static_assert(sizeof(struct w_class_shm) == 2 * W_LINE, "layout");

enum w_sum { /* of a class, since the block was made; a total in ns stands behind its count */
             W_SUM_CONTENDED,
             W_SUM_WAITS,
             W_SUM_WAITED,
             W_SUM_HOLDS,
             W_SUM_HELD,
             W_SUM_ACQUIRES, /* c_acquires */
             W_SUMS
};
enum w_side { W_WAITER, W_HOLDER, W_SIDES };
#define W_POINTS 4u /* places of each side, as many as lock_stat has */

/* How much the locks of a class are fought over; touched when one is found taken, and when holds are timed. */
struct w_contention_shm {
    uint64_t n_sum[W_SUM_ACQUIRES]; /* (x) */
    uint64_t n_wait[2], n_hold[2]; /* ns, shortest and longest since the reset, 0: none; (x) */
    uint32_t n_turn; /* resets; (s) */
    uint32_t n_pad[5];
    uint64_t n_point[W_SIDES][W_POINTS]; /* frame << 32 | times, 0: free; (x) */
    uint64_t n_before[2][W_SUMS]; /* the sums at the last reset, and at the one before, in turn; (s) */
};
_Static_assert(offsetof(struct w_contention_shm, n_point) % 8 == 0, "layout");
_Static_assert(sizeof(struct w_contention_shm) == 4 * W_LINE, "layout");

#define W_EDGE_LIVE 1u
#define W_EDGE_DECLARED 2u /* nobody was seen to take it: the table of orders says so */
#define W_EDGE_REVERSED 4u
#define W_EDGE_BLESSED 8u
#define W_EDGE_INSIDE 16u /* between two locks of one class: in no cell, made for the report that names it */

/* An order seen: e_first was held when e_second was taken. The first cache line is what every taking touches. */
struct w_edge_shm {
    uint32_t e_first, e_second; /* (c) */
    uint64_t e_count; /* (l) */
    uint64_t e_thread[W_EDGE_THREADS]; /* pid << 32 | tid of the first to take it; (x) */
    uint32_t e_flags; /* (s) */
    uint32_t e_gates; /* entries of e_gate that are left; (s) */
    uint32_t e_pad0[2];
    uint32_t e_gate[W_GATES]; /* classes held alone around it every time; (s) */
    uint32_t e_stack[2]; /* where the first was taken, where the second; (c) */
    uint32_t e_mode[2]; /* (c) */
    uint64_t e_who; /* pid << 32 | tid; (c) */
    char e_name[W_THREAD_BYTES]; /* of that thread; (c) */
    int64_t e_time_ns; /* CLOCK_REALTIME; (c) */
};
_Static_assert(sizeof(struct w_edge_shm) == 2 * W_LINE, "layout");

struct w_stack_shm {
    uint64_t s_hash; /* (c) */
    uint32_t s_count;
    uint32_t s_pad;
    uint32_t s_frame[W_FRAMES]; /* ids, innermost first */
};

struct w_frame_shm {
    uint64_t f_hash; /* (c) */
    uint32_t f_line;
    uint32_t f_pad;
    char f_file[W_FILE_BYTES];
    char f_function[W_FUNCTION_BYTES];
};

/* One lock that a thread holds. */
struct w_held_shm {
    uint64_t d_instance; /* (t) */
    uint32_t d_class;
    uint16_t d_mode; /* enum w_mode */
    uint16_t d_flags; /* W_HELD_* */
    uint32_t d_depth; /* times taken */
    uint32_t d_stack; /* where, as far as it is known */
    int64_t d_since_ns; /* CLOCK_MONOTONIC, 0 when holds are not timed */
};
_Static_assert(sizeof(struct w_held_shm) == 32, "layout");
#define W_HELD_TRIED 1u /* by a try: not order-checked itself */

/* In the low half of t_owner: a task of that process, not a thread; the rest is its number. */
#define W_TASK 0x80000000u

struct w_thread_shm {
    uint64_t t_owner; /* pid << 32 | tid, 0: free; (x) */
    uint32_t t_namespace; /* of that pid */
    uint32_t t_count; /* entries of t_held; (t) */
    char t_name[W_THREAD_BYTES];
    uint32_t t_wait_class; /* (t) W_NO_CLASS: it does not wait */
    uint16_t t_wait_mode;
    uint16_t t_wait_number; /* (t) of the waits that this thread began; wraps, so t_wait_since_ns counts as well */
    uint64_t t_wait_instance;
    uint32_t t_wait_stack;
    uint32_t t_given; /* a lock that another process gave back, w_given_word of it; 0: none; (x) */
    int64_t t_wait_since_ns; /* CLOCK_MONOTONIC */
    struct w_held_shm t_held[W_HELD]; /* (t) oldest first */
};
_Static_assert(offsetof(struct w_thread_shm, t_held) == W_LINE, "layout");

/* Two locks of one class: i_first was held when i_second was taken. Sets of W_WAYS, found by class and i_first. */
#define W_PAIRS 4096u
#define W_WAYS 8u
struct w_pair_shm {
    uint32_t i_class; /* class + 1, stored last; 0: empty; (x) */
    uint32_t i_gates; /* (s) */
    uint64_t i_first, i_second; /* instances; (s) */
    uint64_t i_gate[W_GATES]; /* locks held alone around it every time, w_pair_key of them; (s) */
    uint64_t i_who; /* pid << 32 | tid; (s) */
    int64_t i_time_ns; /* CLOCK_REALTIME; (s) */
    uint32_t i_stack[2]; /* where the first was taken, where the second; (s) */
    uint32_t i_age; /* of the set's entries the one with the least goes; (s) */
    uint32_t i_pad0;
    char i_name[W_THREAD_BYTES]; /* of that thread; (s) */
    uint64_t i_pad[3];
};
_Static_assert(sizeof(struct w_pair_shm) == 2 * W_LINE, "layout");

struct w_process_shm {
    uint32_t p_pid; /* 0: free; (x) */
    uint32_t p_cpu; /* slot in the arena that it was armed through, plus 1; 0: not known */
    uint32_t p_parent; /* whose child it was then */
    uint32_t p_pad;
    int64_t p_started_ns; /* CLOCK_REALTIME of its first look at the block */
    char p_name[48];
};

enum w_report_kind { W_R_REVERSAL, W_R_DUPLICATE, W_R_SLEEPABLE, W_R_RECURSION, W_R_SLEEP, W_R_MISUSE };
#define W_REPORT_BLESSED 1u
#define W_REPORT_FORCED 2u /* a sleep that became M_NOWAIT */

struct w_report_held {
    uint32_t o_class, o_mode, o_stack, o_depth;
    uint64_t o_instance;
};

struct w_report_shm {
    uint32_t r_kind;
    uint32_t r_flags;
    int64_t r_time_ns; /* CLOCK_REALTIME */
    uint64_t r_who; /* pid << 32 | tid */
    char r_thread[W_THREAD_BYTES];
    uint32_t r_class[2]; /* first and second of a reversal; the lock misused */
    uint32_t r_mode[2];
    uint32_t r_stack[2]; /* where the first is held from, where we are */
    uint32_t r_edge; /* established the other order */
    uint32_t r_count; /* times seen; (l) */
    uint32_t r_cycle[W_CYCLE];
    uint32_t r_cycles; /* entries of r_cycle */
    uint32_t r_helds; /* entries of r_held */
    uint64_t r_instance[2];
    char r_what[W_NAME_BYTES];
    char r_zone[W_NAME_BYTES];
    char r_detail[W_TEXT_BYTES];
    struct w_report_held r_held[W_REPORT_HELD];
};
_Static_assert(sizeof(struct w_report_shm) % 8 == 0, "layout");

#endif
