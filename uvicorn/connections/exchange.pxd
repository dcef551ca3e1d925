from uvicorn.connections.carrier cimport Carrier
from uvicorn.connections.response cimport Response
from uvicorn.wire.reply cimport Fields
from uvicorn.wire.request_line cimport RequestLine


cdef class Exchange(Response):
    cdef public list headers
    cdef public double started_at
    cdef public object task
    cdef public object job
    cdef public object work
    cdef public bint is_answered
    cdef bint _was_looked_for

    cpdef begin(self, Carrier carrier, RequestLine request_line, list headers, bint persists, double now)
