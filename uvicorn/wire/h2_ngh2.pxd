cdef class Ngh2Engine:
    cdef object _connection
    cdef bint _is_failed
    cdef set _known_resets
    cdef Py_ssize_t _newest
    cdef dict _settings
    cdef Py_ssize_t _window
