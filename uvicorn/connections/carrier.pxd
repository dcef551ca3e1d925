from uvicorn.connections.flow cimport WriteGate


cdef class Carrier:
    cdef public object service
    cdef public WriteGate gate

    cpdef bint is_lost(self) except -1
    cpdef bint is_plain(self) except -1
    cpdef bint is_first(self, object exchange) except -1
    cpdef bint may_persist(self, object exchange) except -1
    cpdef bint may_skip_body(self, object exchange) except -1
    cpdef write(self, bytes data)
    cpdef write_all(self, tuple parts)
    cpdef bint finish(self, object exchange, bytes response) except -1
    cpdef on_response_ended(self, object exchange)
