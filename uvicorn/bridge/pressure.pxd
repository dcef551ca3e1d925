cdef class Window:
    cdef object _exchange
    cdef object _waiters
    cdef Py_ssize_t _sent
    cdef Py_ssize_t _settled
    cdef Py_ssize_t _pending
    cdef bint _is_watching

    cpdef take(self, Py_ssize_t size)
    cpdef wait(self)
    cdef _delivered(self, Py_ssize_t size)
    cdef bint _is_open(self) except -1


cdef class Drained:
    cdef object _exchange
