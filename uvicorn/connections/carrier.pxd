from uvicorn.connections.flow cimport WriteGate
from uvicorn.connections.service cimport Service
from uvicorn.wire.reply cimport Fields


cdef class Carrier:
    cdef public Service service
    cdef public WriteGate gate
    cdef public bint frames_content

    cpdef bint is_lost(self) except -1
    cpdef bint is_plain(self) except -1
    cpdef bint is_first(self, object exchange) except -1
    cpdef bint may_persist(self, object exchange) except -1
    cpdef bint may_skip_body(self, object exchange) except -1
    cpdef send(self, object exchange, int status, Fields fields, bytes content, bint more)
    cpdef hint(self, Fields fields)
    cpdef accept_socket(self, Fields fields)
    cpdef write(self, bytes data)
    cpdef write_all(self, tuple parts)
    cpdef bint finish(self, object exchange, bytes response) except -1
    cpdef on_response_ended(self, object exchange)
