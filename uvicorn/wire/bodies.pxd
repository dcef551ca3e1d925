cimport cython


cdef class LengthReader:
    cdef long long _left
    cdef readonly Py_ssize_t end
    cdef readonly bint is_complete

    @cython.locals(end=Py_ssize_t)
    cpdef bytes read(self, bytes data, Py_ssize_t at, Py_ssize_t most_lines=*)


cdef class ChunkedReader:
    cdef long long _excess
    cdef long long _left
    cdef bytearray _line
    cdef int _state
    cdef readonly Py_ssize_t end
    cdef readonly bint is_complete

    @cython.locals(chunks=list, size=Py_ssize_t, state=cython.int, end=Py_ssize_t)
    cpdef bytes read(self, bytes data, Py_ssize_t at, Py_ssize_t most_lines=*)
    cdef Py_ssize_t _end_chunk(self, bytes data, Py_ssize_t at) except -1
    @cython.locals(room=Py_ssize_t, lf=Py_ssize_t, line=bytes)
    cdef Py_ssize_t _take_line(self, bytes data, Py_ssize_t at) except -1
    cdef _end_size(self, bytes line)
    cdef _end_trailer(self, bytes line)
