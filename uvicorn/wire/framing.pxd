cimport cython


cpdef check_first_byte(bytes data)
cdef Py_ssize_t _end_of_head(bytes data, Py_ssize_t at) except -1


cdef class HeadBuffer:
    cdef Py_ssize_t _fields
    cdef object _limits
    cdef Py_ssize_t _line_start
    cdef Py_ssize_t _scanned
    cdef readonly bytearray data
    cdef readonly Py_ssize_t end

    @cython.locals(buffer=bytearray, seam=bytes, found=Py_ssize_t, end=Py_ssize_t, head=bytes)
    cpdef bytes take(self, bytes data, Py_ssize_t at)
    cpdef check(self, bytes head)
    @cython.locals(buffer=bytearray, most_fields=Py_ssize_t, lf=Py_ssize_t, start=Py_ssize_t)
    cdef _check_lines(self, Py_ssize_t end)
    @cython.locals(limit=Py_ssize_t, longest=Py_ssize_t)
    cdef _check_length(self, Py_ssize_t start, Py_ssize_t end)
