cdef class Turns:
    cdef object _call_soon
    cdef object _waiting
    cdef bint _is_arranged
    cdef bint _is_working
    cdef Py_ssize_t _kept
    cdef Py_ssize_t _low
    cdef Py_ssize_t _most
    cdef public Py_ssize_t left

    cpdef spend(self, Py_ssize_t steps)
    cpdef bint admits(self, object waiting) except -1
    cpdef wait(self, object waiting)
    cdef _arrange(self)
