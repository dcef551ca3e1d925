cimport cython

from uvicorn.connections.turns cimport Turns


cdef class Intake:
    cdef bytes _data
    cdef Py_ssize_t _at
    cdef bint _is_queued
    cdef bint _is_working
    cdef object _take
    cdef object _on_paused
    cdef Turns _turns
    cdef public int reasons
    cdef public Py_ssize_t more_steps
    cdef public object transport

    cpdef receive(self, bytes data)
    @cython.locals(data=bytes, at=Py_ssize_t, end=Py_ssize_t, steps=Py_ssize_t, share=Py_ssize_t, turns=Turns)
    cpdef work(self)
    cpdef drop(self)
    cpdef note_taken(self, Py_ssize_t at)
    cpdef go_on(self)
    cpdef hold(self, int reason)
    cpdef release(self, int reason)
    cdef _queue(self)
