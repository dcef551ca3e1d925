cimport cython

from uvicorn.connections.h2_frames cimport Frames
from uvicorn.connections.h2_writing cimport WritingConnection


cdef class Http2Connection(WritingConnection):
    cdef Frames _frames
    cdef Py_ssize_t _piece

    cdef _learn(self, Py_ssize_t told, Py_ssize_t size)
    @cython.locals(frames=Frames)
    cpdef _paused(self)
    cdef bytes _said(self)
