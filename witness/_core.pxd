# _core.pxd - the witness's C as Cython sees it.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "witness/core/witness.h" nogil:
    ctypedef enum sm_err "enum sm_err":
        SM_OK, SM_INVALID, SM_NO_MEMORY, SM_NOT_FOUND, SM_MISMATCH, SM_TABLE_FULL, SM_STALLED, SM_DEADLOCK, SM_NOT_ARENA
        SM_TRUNCATED, SM_CORRUPT, SM_VERSION, SM_READ_ONLY
    const char *SM_HOOKS_CAPSULE
    cdef struct sm_hooks:
        uint32_t h_version
    cdef struct sm_arena:
        pass
    cdef struct w_door:
        sm_arena *arena
        void (*set_hooks)(sm_arena *a, const sm_hooks *hooks) noexcept
        void (*clear_hooks)(sm_arena *a, uint32_t mask) noexcept
        sm_err (*region)(sm_arena *a, const char *name, uint64_t nbytes, uint32_t version, void **mem) noexcept
        sm_err (*announce)(sm_arena *a, uint32_t flags, int armed) noexcept
        sm_err (*find)(const sm_arena *a, const char *name, uint64_t *off, uint64_t *nbytes, uint32_t *version) noexcept
        char *base

    enum:
        W_ENTRY_BYTES, W_VERSION, W_NAME_BYTES, W_KIND_BYTES, W_FILE_BYTES, W_FUNCTION_BYTES, W_TEXT_BYTES
        W_THREAD_BYTES, W_FRAMES, W_HELD, W_CYCLE, W_GATES, W_EDGE_THREADS, W_REPORT_HELD
        W_HOOKS, W_TRY, W_QUIET, W_CONTENDED, W_UNSURE, W_POINTS, W_EDGE_LIVE, W_EDGE_SHIFT, W_MANY, W_KINDS, W_SIGNAL
    uint32_t W_NO_CLASS
    ctypedef enum w_mode "enum w_mode":
        W_EXCLUSIVE, W_SHARED, W_SHARED_RECURSIVE
    cdef struct w_geometry:
        uint32_t g_classes, g_edges, g_stacks, g_frames, g_reports, g_threads, g_processes
    cdef struct w_header:
        int64_t h_created_ns
        int32_t h_watch
        int64_t h_reset_ns
        uint32_t h_stat, h_off_reason, h_classes, h_edges, h_stacks, h_frames, h_reports, h_missed, h_lost
    cdef struct w_class_shm:
        char *c_name
        char *c_kind
        uint32_t c_subclass, c_flags, c_site
    cdef struct w_point:
        uint32_t p_frame, p_count
    cdef struct w_contention:
        uint64_t g_acquires, g_contended, g_waits, g_wait_min, g_wait_max, g_wait_total
        uint64_t g_holds, g_hold_min, g_hold_max, g_hold_total
        w_point g_point[2][4]
    cdef struct w_edge_shm:
        uint32_t e_first, e_second, e_flags, e_gates
        uint64_t e_count
        uint64_t *e_thread
        uint32_t *e_gate
        uint32_t *e_stack
        uint32_t *e_mode
        uint64_t e_who
        char *e_name
        int64_t e_time_ns
    cdef struct w_stack_shm:
        uint32_t s_count
        uint32_t *s_frame
    cdef struct w_frame_shm:
        uint32_t f_line
        char *f_file
        char *f_function
    cdef struct w_held_shm:
        uint64_t d_instance
        uint32_t d_class, d_depth, d_stack
        uint16_t d_mode, d_flags
        int64_t d_since_ns
    cdef struct w_thread_shm:
        uint64_t t_owner
        uint32_t t_namespace, t_count, t_wait_class, t_wait_stack
        uint16_t t_wait_mode, t_wait_number
        uint64_t t_wait_instance
        int64_t t_wait_since_ns
        char *t_name
        w_held_shm *t_held
    cdef struct w_process_shm:
        uint32_t p_pid, p_cpu, p_parent
        int64_t p_started_ns
        char *p_name
    cdef struct w_report_held:
        uint32_t o_class, o_mode, o_stack, o_depth
        uint64_t o_instance
    cdef struct w_report_shm:
        uint32_t r_kind, r_flags, r_edge, r_count, r_cycles, r_helds
        int64_t r_time_ns
        uint64_t r_who
        char *r_thread
        uint32_t *r_class
        uint32_t *r_mode
        uint32_t *r_stack
        uint32_t *r_cycle
        uint64_t *r_instance
        char *r_what
        char *r_zone
        char *r_detail
        w_report_held *r_held
    cdef struct w_block:
        w_header *b_header
        w_class_shm *b_classes
        w_edge_shm *b_edges
        w_stack_shm *b_stacks
        w_frame_shm *b_frames
        w_report_shm *b_reports
        w_thread_shm *b_threads
        w_process_shm *b_processes
        uint32_t b_max_classes, b_max_edges, b_max_stacks, b_max_frames, b_max_reports, b_max_threads, b_max_processes
        uint32_t (*b_capture)(w_block *b, void *ctx, void *caller) noexcept
        uint64_t (*b_place)(w_block *b, void *ctx, void *caller) noexcept
        void (*b_tell)(w_block *b, void *ctx, uint32_t report) noexcept
        w_thread_shm *(*b_task)(w_block *b, void *ctx) noexcept
        bint (*b_alive)(w_block *b, void *ctx, uint32_t c, uint64_t instance) noexcept
        void *b_ctx
        bint b_paused
        uint32_t b_namespace
    cdef struct w_frame:
        const char *f_file
        const char *f_function
        uint32_t f_line
    cdef struct w_hooking:
        w_block *k_block

    uint64_t w_block_bytes(const w_geometry *g)
    sm_err w_block_format(void *mem, uint64_t nbytes, const w_geometry *g, const char *entry)
    sm_err w_block_verify(const void *mem, uint64_t nbytes)
    sm_err w_block_open(void *mem, uint64_t nbytes, bint reader, w_block **out)
    void w_block_close(w_block *b)
    sm_err w_class_get(w_block *b, const char *name, const char *kind, uint32_t subclass, uint32_t flags, uint32_t *id)
    void w_class_signal(w_block *b, uint32_t id)
    uint32_t w_stack_get(w_block *b, const w_frame *frames, uint32_t count)
    void w_before_acquire(w_block *b, uint32_t c, uint64_t instance, w_mode mode, uint32_t flags, void *address)
    void w_acquired(w_block *b, uint32_t c, uint64_t instance, w_mode mode, uint32_t flags, void *address)
    void w_not_acquired(w_block *b, uint32_t c, uint64_t instance)
    bint w_release(w_block *b, uint32_t c, uint64_t instance, bint must, void *address)
    void w_given_elsewhere(w_block *b, uint32_t c, uint64_t instance)
    w_thread_shm *w_task_claim(w_block *b, uint32_t number, const char *name)
    void w_task_free(w_block *b, w_thread_shm *slot)
    void w_task_before(w_block *b, w_thread_shm *slot, uint32_t number, uint32_t c, uint64_t instance, uint32_t flags,
                       void *address)
    void w_task_acquired(w_block *b, w_thread_shm *slot, uint32_t c, uint64_t instance, uint32_t flags, void *address)
    void w_task_not_acquired(w_block *b, w_thread_shm *slot)
    bint w_task_release(w_block *b, w_thread_shm *slot, uint32_t c, uint64_t instance)
    void w_recursion(w_block *b, uint32_t c, uint64_t instance, w_mode mode, void *address)
    void w_upgrade(w_block *b, uint32_t c, uint64_t instance, void *address)
    void w_downgrade(w_block *b, uint32_t c, uint64_t instance, void *address)
    void w_lock_created(w_block *b, uint32_t c, uint64_t instance)
    void w_lock_destroyed(w_block *b, uint32_t c, uint64_t instance, void *address)
    uint32_t w_may_sleep(w_block *b, const char *what, const char *zone, bint forced, void *address)
    sm_err w_declare(w_block *b, uint32_t first, uint32_t second)
    sm_err w_bless(w_block *b, uint32_t first, uint32_t second)
    void w_report_flush(w_block *b)
    void w_report_misuse(w_block *b, const char *what, uint32_t c, uint64_t instance, uint32_t mode, void *address,
                         const char *detail)
    sm_err w_contention_reset(w_block *b)
    void w_contention_read(const w_block *b, uint32_t class_id, w_contention *out)
    uint32_t w_thread_sweep(w_block *b)
    void w_thread_title(w_block *b, const char *name)
    void w_thread_seat(w_block *b, uint32_t cpu)
    ctypedef enum w_sighting "enum w_sighting":
        W_NOBODY, W_SEEN, W_MOVING
    w_sighting w_waiting_read(const w_block *b, uint32_t i, w_thread_shm *out)
    sm_err w_hooking_init(w_hooking *k, w_block *b)
    void w_hooking_table(w_hooking *k, sm_hooks *out)
