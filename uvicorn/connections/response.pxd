cimport cython

from uvicorn.connections.carrier cimport Carrier
from uvicorn.connections.numbers cimport Numbers
from uvicorn.wire.encoder cimport Encoder
from uvicorn.wire.reply cimport Fields
from uvicorn.wire.request_line cimport RequestLine


cdef class Response:
    cdef public Carrier carrier
    cdef public RequestLine request_line
    cdef public bint persists
    cdef public bint is_head
    cdef public double active_at
    cdef public object consumer
    cdef public object attended
    cdef public int status
    cdef public Fields fields
    cdef public Py_ssize_t sent_bytes
    cdef public bint is_request_complete
    cdef public bint is_closed
    cdef public bint is_lost
    cdef public bint is_stopping
    cdef public bint is_chunked
    cdef object _held
    cdef public object feed

    @cython.locals(status=int, more=bint, carrier=Carrier, content=bytes, encoder=Encoder, fields=Fields)
    cpdef object reply(self, tuple reply)
    cdef _reply(self, int status, Fields fields, bytes content, bint more)
    cdef _send(self, int status, Fields fields, bytes content, bint more)
    @cython.locals(carrier=Carrier, has_trailers=bint)
    cdef _begin(self, int status, Fields fields, bytes content, bint more)
    cdef _write(self, tuple parts)
    cpdef _close(self)
    cpdef bint is_writable(self) except -1
