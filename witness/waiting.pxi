# waiting.pxi - who waits and who holds in an arena's block, read from the live mapping. Owns nothing, judges nothing.


def read_waiting(capsule):
    """What the threads of an arena's block wait for and hold now, from its live mapping; a read-only one will do.

    Returns: dict of classes (number: row as in read_block, of those named), processes (as in read_block), threads: a list
    of (owner, name, in our pid namespace, waits, held). waits is None, or (class, instance, mode, stack, since in ns of
    CLOCK_MONOTONIC, number); the same owner, since and number, seen twice, is one wait that lasted from the one look to the
    other. held: (class, instance, mode, depth, stack, since) each.
    Raises: CoreError: SM_NOT_FOUND: the arena has no block; or it is of another version, or damaged.
    """
    cdef w_door *door = <w_door *>PyCapsule_GetPointer(capsule, SM_HOOKS_CAPSULE)
    cdef uint64_t off = 0, nbytes = 0
    cdef uint32_t version = 0, i, j, classes
    cdef w_block *b = NULL
    cdef w_thread_shm t
    refuse(door.find(door.arena, "witness", &off, &nbytes, &version))
    refuse(w_block_open(door.base + off, nbytes, True, &b))
    try:
        named, threads = set(), []
        classes = min(b.b_header.h_classes, b.b_max_classes)
        for i in range(b.b_max_threads):
            if w_waiting_read(b, i, &t) == W_NOBODY:
                continue
            waits = None
            if t.t_wait_class < classes:
                waits = (t.t_wait_class, t.t_wait_instance, t.t_wait_mode, stack_row(b, t.t_wait_stack),
                         t.t_wait_since_ns, t.t_wait_number)
                named.add(t.t_wait_class)
            held = []
            for j in range(t.t_count):
                if t.t_held[j].d_class < classes:
                    named.add(t.t_held[j].d_class)
                    held.append((t.t_held[j].d_class, t.t_held[j].d_instance, t.t_held[j].d_mode, t.t_held[j].d_depth,
                                 stack_row(b, t.t_held[j].d_stack), t.t_held[j].d_since_ns))
            threads.append((t.t_owner, text(t.t_name, W_THREAD_BYTES), t.t_namespace == b.b_namespace, waits,
                            tuple(held)))
        return {"classes": {i: class_row(b, i) for i in named}, "threads": threads,
                "processes": [(b.b_processes[i].p_pid, text(b.b_processes[i].p_name, 48), b.b_processes[i].p_started_ns)
                              for i in range(b.b_max_processes) if b.b_processes[i].p_pid != 0]}
    finally:
        w_block_close(b)
