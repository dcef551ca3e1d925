cimport cython


cdef class HTTPCall:
    cdef object _channel
    cdef bytes _body
    cdef object _body_channel
    cdef bint _is_received
    cdef bint _has_begun
    cdef object _status
    cdef object _fields
    cdef Py_ssize_t _since_turn
    cdef bint _has_trailers
    cdef list _trailers
    cdef list _parts
    cdef Py_ssize_t _gathered
    cdef bint _is_flush_due
    cdef object _waiter
    cdef readonly object threads
    cdef public object work

    cpdef bint refuse(self) except -1
    cdef _gather(self, bytes content)
    cdef _flush(self)
    cpdef end(self)
    cpdef leave(self)
    @cython.locals(given=dict)
    cdef object _take(self, object event)
    cdef dict _begun(self, object content, bint more)
