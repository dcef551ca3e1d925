cimport cython

from uvicorn.connections.carrier cimport Carrier
from uvicorn.connections.exchange cimport Exchange
from uvicorn.connections.flow cimport WriteGate
from uvicorn.connections.h2_owner cimport StreamOwner
from uvicorn.wire.reply cimport Fields


cdef class SendingStream(Carrier):
    cdef bint _ends
    cdef object _queue
    cdef bytes _trailers
    cdef public Exchange exchange
    cdef public int id
    cdef public bint is_over
    cdef public bint is_sent
    cdef public StreamOwner owner
    cdef public object priority
    cdef public Py_ssize_t queued_bytes
    cdef public Py_ssize_t taken_bytes
    cdef public object tunnel

    cdef _set_up(self, StreamOwner owner, int stream_id, object priority)
    @cython.locals(owner=StreamOwner, head=list)
    cpdef send(self, object exchange, int status, Fields fields, bytes content, bint more)
    cpdef put(self, bytes content, bint ends)
    cpdef resume(self)
    cpdef Py_ssize_t pump(self, Py_ssize_t most) except -1
    cdef object _next(self, Py_ssize_t most)
    cdef _drop_queue(self)
    cdef _sent(self)
