cdef class RequestLine:
    cdef readonly str http_version
    cdef readonly bint is_head
    cdef readonly bint is_http10
    cdef readonly bint is_usual
    cdef readonly str method
    cdef readonly str path
    cdef readonly bytes target


cdef class ForwardedLine(RequestLine):
    cdef readonly list client
    cdef readonly str scheme
