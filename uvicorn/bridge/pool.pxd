cimport cython

from uvicorn.bridge.backlog cimport Backlog
from uvicorn.bridge.slots cimport Slot


cdef class ConsumerPool:
    cdef object __weakref__
    cdef readonly Py_ssize_t threads
    cdef readonly Py_ssize_t queue_size
    cdef public Py_ssize_t rejected
    cdef public Py_ssize_t passed_by
    cdef public list hosts
    cdef public Py_ssize_t leased
    cdef public list shared_hosts
    cdef public object on_short
    cdef public object spare
    cdef public object on_retire
    cdef public object on_busy
    cdef object _call_soon
    cdef object _log
    cdef readonly object name
    cdef readonly list _parked
    cdef list _slots
    cdef readonly Backlog _backlog
    cdef Py_ssize_t _busy_from
    cdef Py_ssize_t _measures
    cdef Py_ssize_t _started
    cdef object _growing
    cdef object _executor
    cdef object _idle_seconds
    cdef object _numbers
    cdef double _retired_seconds
    cdef public bint _is_wake_due
    cdef bint _is_searching
    cdef bint _is_ending
    cdef bint _is_stopping

    cpdef bint submit(self, object job) except -1
    cpdef submit_beyond(self, object job)
    cpdef about_to_look(self)
    cpdef _end_turn(self)
    cdef _wake_one(self)
    @cython.locals(slot=Slot, backlog=Backlog)
    cpdef _drain(self)
    cdef bint _park(self, Slot slot) except -1
