cimport cython

from uvicorn.connections.h2_ending cimport EndingConnection
from uvicorn.connections.h2_schedule cimport Schedule


cdef class WritingConnection(EndingConnection):
    cdef bint _is_flush_due

    @cython.locals(schedule=Schedule)
    cpdef flush(self)
    cpdef write_output(self)
    cpdef wants_flush(self)
    cdef bytes _said(self)
