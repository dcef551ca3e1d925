from uvicorn.connections.h2_limits cimport Accounts
from uvicorn.connections.h2_owner cimport StreamOwner
from uvicorn.connections.intake cimport Intake


cdef class EndingConnection(StreamOwner):
    cdef object _client
    cdef bint _is_final
    cdef object _server
    cdef public Accounts accounts
    cdef public object address
    cdef public bint closes_when_idle
    cdef public bint has_announced
    cdef public Intake intake
    cdef public bint is_ended
    cdef public bint is_over
    cdef public object place
    cdef public Py_ssize_t requests
    cdef public Py_ssize_t silent_bytes
    cdef public object transport
    cdef public object watch
    cdef public Py_ssize_t written_bytes

    cpdef flush(self)
    cpdef over(self, object stream)
