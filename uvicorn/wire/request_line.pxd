cimport cython

from uvicorn.messages cimport Message
from uvicorn.wire.head cimport HeaderPolicy


cdef class RequestLine:
    cdef readonly str http_version
    cdef readonly bint is_head
    cdef readonly bint is_http10
    cdef readonly bint is_usual
    cdef readonly str method
    cdef readonly str path
    cdef readonly bytes target
    cdef public list client
    cdef public str scheme


@cython.locals(client=list, said=str)
cpdef take_origin(RequestLine line, Message message, HeaderPolicy policy, list fields, str scheme)
