cdef class Work:
    cdef public object threads
    cdef public object channel
    cdef public bint is_outside
    cdef public bint is_answered
    cdef public bint is_refused
    cdef public bint is_stuck
    cdef public object lease
    cdef public Py_ssize_t hops
    cdef public double wait_seconds
    cdef public double run_seconds


cpdef work_now()
