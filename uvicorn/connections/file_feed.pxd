cimport cython

from uvicorn.connections.carrier cimport Carrier
from uvicorn.connections.file_transfer cimport Transfer
from uvicorn.connections.turns cimport Turns
from uvicorn.wire.reply cimport Fields


cdef class Feed:
    cdef Carrier _carrier
    cdef bytes _data
    cdef object _exchange
    cdef bint _has_begun
    cdef bint _is_framed
    cdef bint _is_queued
    cdef bint _is_waiting
    cdef object _replies
    cdef Transfer _transfer
    cdef Turns _turns
    cdef public bint is_whole
    cdef public Py_ssize_t size

    cpdef stop(self)
    cpdef work(self)
    @cython.locals(left=Py_ssize_t, size=Py_ssize_t)
    cpdef _run(self, object _=*)
    @cython.locals(status=int, fields=Fields, content=bytes, more=bint)
    cdef Py_ssize_t _send_next(self) except -1
    @cython.locals(data=bytes, fields=Fields, more=bint, status=int)
    cdef Py_ssize_t _copy_next(self, object part) except -1
    @cython.locals(most=Py_ssize_t, sent=Py_ssize_t)
    cdef Py_ssize_t _transfer_next(self, Transfer transfer, object part) except -1
    cdef _copy_from_here(self, Transfer transfer)
    @cython.locals(fields=Fields, more=bint, status=int)
    cdef _begin_part(self, object part)
    @cython.locals(fields=Fields, more=bint)
    cdef _end_part(self)
    cdef _pop(self)
    cdef _wait_for_gate(self)
    cdef _have_done(self, object work)
    cdef _fail(self, object part, object error)
    cdef _end(self)


cdef Fields _first(Fields fields, Py_ssize_t size, bint is_all)
