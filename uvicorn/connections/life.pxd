cdef class Life:
    cdef public int state
    cdef public bint is_ending
    cdef public bint is_half_closed

    cpdef bint on(self, str event) except -1
