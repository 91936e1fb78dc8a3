# _core.pxd - the fault injector's C as Cython sees it.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "faultinj/core/faultinj.h" nogil:
    ctypedef enum sm_err "enum sm_err":
        SM_OK, SM_INVALID, SM_NO_MEMORY, SM_NOT_FOUND, SM_TABLE_FULL, SM_NAME_TOO_LONG, SM_STALLED, SM_NOT_ARENA
        SM_TRUNCATED, SM_CORRUPT, SM_VERSION, SM_READ_ONLY, SM_GONE, SM_ERR_COUNT
    const char *SM_HOOKS_CAPSULE
    cdef struct sm_hooks:
        uint32_t h_version
    cdef struct sm_arena:
        pass
    cdef struct fi_door:
        sm_arena *arena
        void (*set_hooks)(sm_arena *a, const sm_hooks *hooks) noexcept
        void (*clear_hooks)(sm_arena *a, uint32_t mask) noexcept
        sm_err (*region)(sm_arena *a, const char *name, uint64_t nbytes, uint32_t version, void **mem) noexcept
        sm_err (*announce)(sm_arena *a, uint32_t flags, int armed) noexcept
        sm_err (*find)(const sm_arena *a, const char *name, uint64_t *off, uint64_t *nbytes, uint32_t *version) noexcept
        char *base
        uint32_t (*cpu)(const void *arena) noexcept

    enum:
        FI_VERSION, FI_ENTRY_BYTES, FI_NAME_BYTES, FI_SUBJECT_BYTES, FI_WORDS_BYTES, FI_TEXT_BYTES, FI_TERMS
        FI_MOST_POINTS, FI_SELECTED_WORDS, FI_POINT_CRASH, FI_CORE_POINTS, FI_HOOKS, FI_ACTION_COUNT
        FI_A_RETURN, FI_A_RAISE, FI_A_CALLBACK
    uint32_t FI_NONE
    ctypedef enum fi_sweep "enum fi_sweep":
        FI_OFF, FI_COUNT, FI_TRANSIENT, FI_PERSISTENT, FI_KILL, FI_PAIR, FI_KILL_PAIR, FI_DIE, FI_SWEEPS
    cdef struct fi_header:
        int64_t h_created_ns
        uint64_t h_seed, h_lost, h_log_next, w_n, w_n2, w_reached, w_injected, w_crashes, w_second
        uint32_t w_kind, w_stage
    cdef struct fi_point_shm:
        char *p_name
        uint64_t p_reached, p_injected, p_draws
        uint32_t p_error
    cdef struct fi_term:
        uint32_t t_action, t_flags, t_millionths, t_target, t_code, t_pid, t_cpu, t_step, t_want, t_template
        uint64_t t_count, t_nth, t_every, t_interval, t_space, t_size
        int64_t t_number
        char *t_subject
        char *t_text
        char *t_stack
    cdef struct fi_program:
        uint32_t g_terms
        char *g_text
        fi_term *g_term
    cdef struct fi_setting:
        fi_program s_program
        uint64_t *s_seen
        uint64_t *s_fired
        uint32_t s_pid
        int64_t s_set_ns
    cdef struct fi_log_shm:
        uint64_t l_sequence, l_bytes
        int64_t l_time_ns, l_number
        uint32_t l_point, l_action, l_code, l_step, l_pid, l_tid
        char *l_subject
    cdef struct fi_entry:
        uint64_t e_number
        fi_log_shm e_row
    cdef struct fi_paused:
        uint32_t z_pid, z_tid, z_point
        int64_t z_since_ns
    cdef struct fi_geometry:
        uint32_t g_points, g_slots, g_log, g_pauses
    cdef struct fi_block:
        fi_header *b_header
        fi_point_shm *b_points
        uint32_t b_max_points, b_max_slots, b_max_log, b_max_pauses
        bint (*b_on_stack)(void *ctx, const char *pattern) noexcept
        void *b_ctx
    cdef struct fi_request:
        const char *q_subject
        size_t q_subject_bytes
        uint64_t q_bytes
        int q_flags
        uint32_t q_step
        uint32_t (*q_cpu)(const void *arena) noexcept
        const void *q_arena
        bint (*q_stop)() noexcept nogil
    cdef struct fi_verdict:
        uint32_t v_action, v_code, v_point
        int64_t v_number
        char *v_text
    cdef struct fi_hooking:
        fi_block *k_block
        uint32_t (*k_cpu)(const void *arena) noexcept
        const void *k_arena

    uint64_t fi_block_bytes(const fi_geometry *g)
    sm_err fi_block_format(void *mem, uint64_t nbytes, const fi_geometry *g, const char *entry)
    sm_err fi_block_open(void *mem, uint64_t nbytes, fi_block *b)
    void fi_block_reset(fi_block *b)
    void fi_block_seed(fi_block *b, uint64_t seed)
    sm_err fi_point_get(fi_block *b, const char *name, bint make, uint32_t *number)
    uint32_t fi_point_count(const fi_block *b)
    sm_err fi_program_set(fi_block *b, uint32_t point, const fi_program *programs, uint32_t count)
    sm_err fi_program_get(fi_block *b, uint32_t point, fi_setting *out)
    uint32_t fi_slots_free(const fi_block *b)
    bint fi_reach(fi_block *b, uint32_t point, const fi_request *q, fi_verdict *v)
    void fi_act(fi_block *b, const fi_verdict *v)
    bint fi_waits(const fi_verdict *v)
    uint32_t fi_paused_list(fi_block *b, fi_paused *out, uint32_t most)
    void fi_resume(fi_block *b, uint32_t point)
    sm_err fi_sweep_set(fi_block *b, fi_sweep kind, uint64_t n, uint64_t n2, const uint64_t *selected)
    uint32_t fi_log_read(fi_block *b, uint64_t start, fi_entry *out, uint32_t most)
    void fi_hooking_table(fi_hooking *k, sm_hooks *out)
    bint fi_glob(const char *pattern, size_t most_pattern, const char *name, size_t most_name)
    int fi_core_errno(unsigned place)
    const char *fi_action_name(uint32_t action)
