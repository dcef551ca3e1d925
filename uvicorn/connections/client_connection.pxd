from uvicorn.connections.intake cimport Intake
from uvicorn.connections.life cimport Life
from uvicorn.connections.pipeline cimport Pipeline
from uvicorn.connections.service cimport Service
from uvicorn.wire.parser cimport RequestParser


cdef class ClientConnection:
    cdef public Service service
    cdef public object address
    cdef public object place
    cdef public Life life
    cdef public Intake intake
    cdef public Pipeline pipeline
    cdef public object transport
    cdef public object watch
    cdef public object body
    cdef public Py_ssize_t requests
    cdef RequestParser _parser
