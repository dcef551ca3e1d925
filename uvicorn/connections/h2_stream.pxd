cimport cython

from uvicorn.connections.carrier cimport Carrier
from uvicorn.connections.exchange cimport Exchange
from uvicorn.connections.h2_schedule cimport Schedule
from uvicorn.connections.service cimport Service
from uvicorn.wire.h2_head cimport HeadWriter
from uvicorn.wire.reply cimport Fields


cdef class StreamOwner:
    cdef public bint can_write
    cdef public Py_ssize_t direct_bytes
    cdef public object engine
    cdef public bint is_ending
    cdef public Py_ssize_t queued_bytes
    cdef public Schedule schedule
    cdef public Service service
    cdef public list unwanted
    cdef public int wide_streams
    cdef public HeadWriter writer

    cpdef wants_flush(self)
    cpdef over(self, object stream)
    cpdef answered(self)


cdef class Credit:
    cdef Py_ssize_t _owed
    cdef object _stream
    cdef public int reasons

    cpdef came(self, Py_ssize_t size)
    cpdef settle(self)


cdef class Stream(Carrier):
    cdef object _credit
    cdef bint _ends
    cdef bint _is_client_gone
    cdef bint _is_wide
    cdef object _queue
    cdef bytes _trailers
    cdef public object body
    cdef public double body_at
    cdef public Exchange exchange
    cdef public int id
    cdef public bint is_over
    cdef public bint is_request_ended
    cdef public bint is_sent
    cdef public StreamOwner owner
    cdef public object priority
    cdef public Py_ssize_t queued_bytes
    cdef public object sending
    cdef public Py_ssize_t taken_bytes
    cdef public object taking
    cdef public object tunnel

    @cython.locals(owner=StreamOwner, head=list)
    cpdef send(self, object exchange, int status, Fields fields, bytes content, bint more)
    @cython.locals(service=Service)
    cpdef on_response_ended(self, object exchange)
    cpdef put(self, bytes content, bint ends)
    cpdef resume(self)
    cpdef Py_ssize_t pump(self, Py_ssize_t most) except -1
    cdef bytes _next(self, Py_ssize_t most)
    cdef _widen(self)
    cdef _sent(self)
    cpdef bint begin(self, object consumer, object message, object length, bint expects, bint is_ended) except -1
    cdef _end(self)
