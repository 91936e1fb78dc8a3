# reader.pxi - a block's tables as tuples. Owns nothing; trusts no number that it reads: ids are checked where they are used.


cdef str text(const char *raw, size_t room):
    return (<bytes>raw[:strnlen(raw, room)]).decode("utf-8", "replace")


cdef tuple stack_row(w_block *b, uint32_t id):
    cdef w_stack_shm *s
    cdef uint32_t i, frame
    cdef list out = []
    if id == 0 or id > b.b_max_stacks or id > b.b_header.h_stacks:
        return ()
    s = &b.b_stacks[id - 1]
    for i in range(min(s.s_count, <uint32_t>W_FRAMES)):
        frame = s.s_frame[i]
        if frame == 0 or frame > b.b_max_frames:
            break
        out.append(frame_row(b, frame))
    return tuple(out)


cdef tuple frame_row(w_block *b, uint32_t id):
    cdef w_frame_shm *f = &b.b_frames[id - 1]
    return text(f.f_file, W_FILE_BYTES), f.f_line, text(f.f_function, W_FUNCTION_BYTES)


cdef tuple point_rows(w_block *b, const w_contention *g, int side):
    cdef uint32_t i, frame
    cdef list out = []
    for i in range(W_POINTS):
        frame = g.g_point[side][i].p_frame
        if frame != 0 and frame <= b.b_max_frames and frame <= b.b_header.h_frames:
            out.append((frame_row(b, frame), g.g_point[side][i].p_count))
    return tuple(out)


cdef tuple class_row(w_block *b, uint32_t i):
    cdef w_class_shm *c = &b.b_classes[i]
    cdef w_contention g
    w_contention_read(b, i, &g)
    return (text(c.c_name, W_NAME_BYTES), text(c.c_kind, W_KIND_BYTES), c.c_subclass, c.c_flags,
            stack_row(b, c.c_site), g.g_acquires, g.g_contended,
            (g.g_waits, g.g_wait_min, g.g_wait_max, g.g_wait_total),
            (g.g_holds, g.g_hold_min, g.g_hold_max, g.g_hold_total),
            (point_rows(b, &g, 0), point_rows(b, &g, 1)))


cdef tuple edge_row(w_block *b, uint32_t i):
    cdef w_edge_shm *e = &b.b_edges[i]
    cdef uint32_t j
    return (e.e_first, e.e_second, e.e_count, e.e_flags,
            tuple([e.e_gate[j] for j in range(min(e.e_gates, <uint32_t>W_GATES))
                   if e.e_gate[j] < b.b_max_classes and not b.b_classes[e.e_gate[j]].c_flags & W_MANY]),
            tuple([e.e_thread[j] for j in range(W_EDGE_THREADS) if e.e_thread[j]]),
            (stack_row(b, e.e_stack[0]), stack_row(b, e.e_stack[1])), (e.e_mode[0], e.e_mode[1]), e.e_who,
            text(e.e_name, W_THREAD_BYTES), e.e_time_ns)


cdef tuple report_row(w_block *b, uint32_t i):
    cdef w_report_shm *r = &b.b_reports[i]
    cdef uint32_t j
    return (r.r_kind, r.r_flags, r.r_time_ns, r.r_who, text(r.r_thread, W_THREAD_BYTES), (r.r_class[0], r.r_class[1]),
            (r.r_mode[0], r.r_mode[1]), (stack_row(b, r.r_stack[0]), stack_row(b, r.r_stack[1])), r.r_edge, r.r_count,
            tuple([r.r_cycle[j] for j in range(min(r.r_cycles, <uint32_t>W_CYCLE))]), text(r.r_what, W_NAME_BYTES),
            text(r.r_zone, W_NAME_BYTES), text(r.r_detail, W_TEXT_BYTES),
            tuple([(r.r_held[j].o_class, r.r_held[j].o_mode, stack_row(b, r.r_held[j].o_stack), r.r_held[j].o_depth,
                    r.r_held[j].o_instance) for j in range(min(r.r_helds, <uint32_t>W_REPORT_HELD))]), (r.r_instance[0], r.r_instance[1]))


cdef tuple thread_row(w_block *b, uint32_t i):
    cdef w_thread_shm *t = &b.b_threads[i]
    cdef uint32_t j
    waits = None
    if t.t_wait_class < b.b_max_classes:
        waits = (t.t_wait_class, t.t_wait_instance, t.t_wait_mode, stack_row(b, t.t_wait_stack), t.t_wait_since_ns)
    return (t.t_owner, text(t.t_name, W_THREAD_BYTES), waits,
            tuple([(t.t_held[j].d_class, t.t_held[j].d_instance, t.t_held[j].d_mode, t.t_held[j].d_depth,
                    stack_row(b, t.t_held[j].d_stack), t.t_held[j].d_since_ns)
                   for j in range(min(t.t_count, <uint32_t>W_HELD))]))


def read_block(memory):
    """Every table of a block as plain tuples, from a copy of its bytes or from live memory.

    Returns: dict of watch, off_reason, created_ns, reset_ns (of the figures, 0: never), timing, missed, lost and the
    lists classes, edges, reports, threads (of who
    holds or waits, with everything it holds) and processes.
    Raises: CoreError: it is no block, of another version, or damaged.
    """
    cdef const unsigned char[::1] view = memory
    cdef w_block *b = NULL
    cdef uint32_t i
    if view.shape[0] == 0:
        refuse(SM_TRUNCATED)
    refuse(w_block_open(<void *>&view[0], view.shape[0], True, &b))
    try:
        return {
            "watch": b.b_header.h_watch, "off_reason": b.b_header.h_off_reason,
            "created_ns": b.b_header.h_created_ns, "reset_ns": b.b_header.h_reset_ns,
            "timing": b.b_header.h_stat != 0, "missed": b.b_header.h_missed, "lost": b.b_header.h_lost,
            "classes": [class_row(b, i) for i in range(min(b.b_header.h_classes, b.b_max_classes))],
            "edges": [edge_row(b, i) for i in range(min(b.b_header.h_edges, b.b_max_edges))],
            "reports": [report_row(b, i) for i in range(min(b.b_header.h_reports, b.b_max_reports))],
            "threads": [thread_row(b, i) for i in range(b.b_max_threads) if b.b_threads[i].t_owner != 0],
            "processes": [(b.b_processes[i].p_pid, text(b.b_processes[i].p_name, 48), b.b_processes[i].p_started_ns,
                           b.b_processes[i].p_cpu)
                          for i in range(b.b_max_processes) if b.b_processes[i].p_pid != 0],
        }
    finally:
        w_block_close(b)
