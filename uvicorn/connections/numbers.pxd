cdef class Numbers:
    cdef public Py_ssize_t connections
    cdef public Py_ssize_t received_bytes
    cdef public Py_ssize_t sent_bytes
    cdef public Py_ssize_t ok
    cdef public dict statuses
    cdef public dict refused

    cpdef answered(self, int status)
