cimport cython

from uvicorn.connections.h2_credit cimport Credit
from uvicorn.connections.h2_owner cimport StreamOwner
from uvicorn.connections.h2_sending cimport SendingStream
from uvicorn.connections.service cimport Service


cdef class Stream(SendingStream):
    cdef Credit _credit
    cdef bint _is_client_gone
    cdef bint _is_wide
    cdef public object body
    cdef public double body_at
    cdef public bint is_request_ended
    cdef public object sending
    cdef public object taking

    cdef set_up(self, StreamOwner owner, int stream_id, object priority)
    @cython.locals(service=Service)
    cpdef on_response_ended(self, object exchange)
    cdef _widen(self)
    cdef _sent(self)
    cpdef bint begin(self, object consumer, object message, object length, bint expects, bint is_ended) except -1
    cdef _end(self)
