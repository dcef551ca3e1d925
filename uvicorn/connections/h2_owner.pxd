from uvicorn.connections.h2_schedule cimport Schedule
from uvicorn.connections.service cimport Service
from uvicorn.wire.h2_head_writer cimport HeadWriter


cdef class StreamOwner:
    cdef public bint can_write
    cdef public Py_ssize_t direct_bytes
    cdef public Py_ssize_t direct_pieces
    cdef public object engine
    cdef public bint is_ending
    cdef public bint is_taking
    cdef public Py_ssize_t queued_bytes
    cdef public Schedule schedule
    cdef public Service service
    cdef public dict streams
    cdef public list unwanted
    cdef public int wide_streams
    cdef public HeadWriter writer

    cpdef wants_flush(self)
    cpdef over(self, object stream)
    cpdef answered(self)
