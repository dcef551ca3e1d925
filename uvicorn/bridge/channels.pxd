cimport cython

from uvicorn.bridge.outbox cimport Outbox
from uvicorn.wire.reply cimport Fields, ReplySequence


# Copies in C: `__del__` reads one, also when the modules have ended.
cdef int DONE, START, STREAM


cdef class ReplyChannel(ReplySequence):
    cdef object _exchange
    cdef Outbox _outbox
    cdef bint _is_shared
    cdef object _lock
    cdef Window _window
    cdef object _name

    @cython.locals(admitted=tuple)
    cpdef object send(self, object reply)
    @cython.locals(admitted=tuple)
    cdef object _send_more(self, object reply)
    cdef object _drained(self, tuple admitted)
    cdef object _named(self)
    cdef object _locked(self)
    @cython.locals(window=Window, admitted=tuple, fields=Fields)
    cdef _send_from_thread(self, object reply)


cdef class Window:
    cdef object _exchange
    cdef object _waiters
    cdef Py_ssize_t _sent
    cdef Py_ssize_t _settled
    cdef Py_ssize_t _pending
    cdef bint _is_watching

    cpdef take(self, Py_ssize_t size)
    cpdef wait(self)
    cdef _delivered(self, Py_ssize_t size)
    cdef bint _is_open(self) except -1


cdef class Drained:
    cdef object _exchange
