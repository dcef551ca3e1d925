cimport cython

from uvicorn.bridge.outbox cimport Outbox
from uvicorn.bridge.pressure cimport Window
from uvicorn.wire.reply cimport Fields
from uvicorn.wire.reply_sequence cimport ReplySequence


# Copies in C: `__del__` reads one, also when the modules have ended.
cdef int DONE, START, STREAM


cdef class ReplyChannel(ReplySequence):
    cdef object _exchange
    cdef Outbox _outbox
    cdef bint _is_shared
    cdef object _lock
    cdef Window _window
    cdef object _name

    cpdef begin(self, object exchange, Outbox outbox, object lock)
    @cython.locals(admitted=tuple, thread=cython.ulong)
    cpdef object send(self, object reply)
    @cython.locals(admitted=tuple)
    cdef object _send_more(self, object reply)
    cdef object _drained(self, tuple admitted)
    cdef object _named(self)
    cdef object _locked(self)
    @cython.locals(window=Window, admitted=tuple, fields=Fields)
    cdef _send_from_thread(self, object reply)
