cimport cython

from uvicorn.bridge.backlog cimport Backlog
from uvicorn.bridge.drains cimport Drains


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
    cdef readonly object name
    cdef readonly object pauses
    cdef list _slots
    cdef readonly Backlog _backlog
    cdef readonly Drains _drains
    cdef Py_ssize_t _busy_from
    cdef public bint _is_wake_due

    cpdef bint submit(self, object job) except -1
    cpdef submit_beyond(self, object job)
    cpdef bint about_to_look(self) except -1
    @cython.locals(drains=Drains)
    cpdef _end_turn(self)
