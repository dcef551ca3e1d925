cimport cython

from uvicorn.applications.environ cimport make_environ


cdef class Response:
    cdef object _send
    cdef int _status
    cdef object _fields
    cdef object _left
    cdef bint _has_begun
    cdef bint _is_over

    cpdef send_of(self, object application, object environ)
    cpdef send_all(self, object result)
    cdef _put(self, object data, bint more)


cdef dict _CODES

@cython.locals(text=str)
cdef int _code_of(object status) except -1
cdef object _promised(object headers)
