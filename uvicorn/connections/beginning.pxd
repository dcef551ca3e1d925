from uvicorn.connections.client_connection cimport ClientConnection
from uvicorn.wire.framing cimport HeadBuffer


cdef class BeginningConnection(ClientConnection):
    cdef HeadBuffer _buffer

    cdef Py_ssize_t _find_head(self, bytes data, Py_ssize_t at) except -1
