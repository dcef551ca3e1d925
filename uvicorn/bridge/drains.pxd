cimport cython

from uvicorn.bridge.backlog cimport Backlog
from uvicorn.bridge.slots cimport Slot


cdef class Drains:
    cdef object __weakref__
    cdef readonly Py_ssize_t most
    cdef public Py_ssize_t measures
    cdef Backlog _backlog
    cdef readonly list _slots
    cdef object _log
    cdef object _name
    cdef object _idle_seconds
    cdef object _on_retire
    cdef public object _parked
    cdef readonly Py_ssize_t _started
    cdef public object _growing
    cdef object _executor
    cdef object _numbers
    cdef double _retired_seconds
    cdef public bint _is_searching
    cdef bint _is_ending
    cdef bint _is_stopping

    cpdef bint about_to_look(self) except -1
    cpdef wake_one(self)
    cdef bint _start_one(self) except -1
    @cython.locals(slot=Slot, backlog=Backlog)
    cpdef _drain(self)
    cdef bint _park(self, Slot slot) except -1
