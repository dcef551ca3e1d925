cimport cython

from uvicorn.connections.exchange cimport Exchange
from uvicorn.connections.h2_limits cimport Accounts
from uvicorn.connections.h2_stream cimport Stream, StreamOwner
from uvicorn.connections.intake cimport Intake
from uvicorn.connections.service cimport Service
from uvicorn.wire.h2_head cimport HeadReader


cdef class Http2Connection(StreamOwner):
    cdef dict _early
    cdef list _fresh
    cdef bint _has_announced
    cdef bint _is_final
    cdef bint _is_flush_due
    cdef bint _is_over
    cdef bint _is_taking
    cdef Py_ssize_t _piece
    cdef HeadReader _reader
    cdef bint _closes_when_idle
    cdef public Accounts accounts
    cdef public object address
    cdef public Intake intake
    cdef public object place
    cdef public Py_ssize_t requests
    cdef public Py_ssize_t silent_bytes
    cdef public Py_ssize_t steps
    cdef public dict streams
    cdef public object transport
    cdef public object watch
    cdef public Py_ssize_t written_bytes

    cdef _learn(self, Py_ssize_t told, Py_ssize_t size)
    cdef _write_output(self)
    @cython.locals(reader=HeadReader, stream=Stream, exchange=Exchange, service=Service, now=double)
    cpdef on_request(self, int stream_id, object fields, bint is_ended)
    cpdef over(self, object stream)
