cimport cython


cdef int _COMMA
cdef bint _IS_COMPILED
cdef dict _SCHEMES


cdef class Allowed:
    cdef readonly bint has_all
    cdef set _addresses
    cdef list _networks

    cpdef bint has(self, str address) except -1


cdef class Forwarding:
    cdef Allowed _allowed
    cdef readonly frozenset names
    cdef bint _reads_x_forwarded

    @cython.locals(hosts=list, schemes=list, field=list, name=bytes, host=bytes, scheme=bytes, is_usual=bint)
    cpdef tuple read(self, list fields)
    @cython.locals(client=list, scheme=str, hops=Py_ssize_t, address=list)
    cdef tuple _walk(self, object hosts, object schemes)
    cdef tuple _walk_elements(self, bytes value)


cpdef list read_address(bytes text)
@cython.locals(dots=cython.int, number=cython.int, digits=cython.int, code=cython.uchar)
cdef bint _is_ipv4(bytes text)
cdef str _scheme_of(bytes value)
