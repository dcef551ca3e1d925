cdef class Backlog:
    cdef public object queue
    cdef public object held
    cdef public object asking
    cdef public object short
    cdef public object late
    cdef readonly object limit
    cdef readonly bint is_limited
    cdef bint _has_long
    cdef list _slots
    cdef object _most
    cdef object _choosing

    cpdef bint has_ready(self, bint has_thread=*) except -1
    cpdef append(self, object job)
    cpdef take(self)
    cpdef bint choose(self, object slot) except -1
    cdef tuple _in_order(self)
    cdef object _find(self, bint has_thread=*)


cdef class _Room:
    cdef Backlog _backlog
    cdef object _is_there


cdef bint _is_older(object jobs, double than) except -1
cdef bint _is_first_short(object jobs) except -1
