cdef class WriteGate:
    cdef public bint is_open
    cdef public list waiters

    cpdef close(self)
    cpdef open(self)
    cpdef wait(self, object waiter)
