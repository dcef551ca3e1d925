cimport cython

from uvicorn.wire.encoder cimport Encoder
from uvicorn.wire.reply cimport Fields


cdef int _SPACE


cdef class HeadWriter:
    cdef Encoder _encoder
    cdef dict _prefixes

    @cython.locals(made=tuple, own=list, pairs=list, prefix=bytes)
    cpdef list head(self, int status, Fields fields, object length)


@cython.locals(line=bytes, name=bytes, separator=bytes, value=bytes, parts=list)
cpdef list pairs_of(bytes block)
@cython.locals(name=bytes, value=bytes, pairs=list, at=Py_ssize_t)
cdef list _pairs(list parts)
