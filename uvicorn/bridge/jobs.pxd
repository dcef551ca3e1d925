cimport cython


cdef class CallJob:
    cdef public double submitted_at
    cdef public double started_at
    cdef public bint is_over
    cdef public bint is_waiting
    cdef public object later
    cdef public unsigned long thread_id
    cdef public object exchange
    # To be seen by jobs that are not compiled (background.py).
    cdef readonly object _dispatcher
    cdef readonly object _consumer
    cdef public object _message
    cdef readonly object _context

    cdef _begin(self, object dispatcher, object consumer, object message, object exchange)
    cpdef enter(self, object context)
    cpdef forget(self)
    cpdef run(self)
    cpdef on_call_ended(self)


cdef class ConsumerJob(CallJob):
    cdef object _ended
    cdef list _posts
    cdef bint _has_left


cdef class SocketJob(CallJob):
    cdef object _handshake
    cdef public bint is_forgotten
