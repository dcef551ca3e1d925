cimport cython


cdef class Transfer:
    cdef int _descriptor
    cdef bint _is_limited
    cdef object _pipeline
    cdef int _twin
    cdef public bint is_full
    cdef public bint is_watching

    cpdef bint is_clear(self) except -1
    @cython.locals(sent=Py_ssize_t)
    cpdef Py_ssize_t send(self, object part, Py_ssize_t most) except? -2
    cpdef bint wait(self, object callback) except -1
    cpdef rest(self)
    cpdef close(self)
    cdef _unlimit(self)
