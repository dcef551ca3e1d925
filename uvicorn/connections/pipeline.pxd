cimport cython

from uvicorn.connections.carrier cimport Carrier
from uvicorn.connections.intake cimport Intake
from uvicorn.connections.life cimport Life
from uvicorn.connections.service cimport Service


cdef class Pipeline(Carrier):
    cdef Intake _intake
    cdef object _owes_continue
    cdef public list exchanges
    cdef public Life life
    cdef public object owner
    cdef public object tail
    cdef public object transport
    cdef public Py_ssize_t unsent_bytes
    cdef public Py_ssize_t written_bytes

    @cython.locals(service=Service)
    cpdef bint finish(self, object exchange, bytes response) except -1
    cdef _advance(self)
    cdef _make_room(self)
