cimport cython


cdef class Fields:
    cdef readonly bytes block
    cdef readonly object content_length  # int or None
    cdef readonly bint closes
    cdef readonly bint has_date
    cdef readonly bint has_server
    cdef readonly bint is_plain
    cdef readonly bint is_slow
    cdef readonly bytes trailers
    cdef readonly object file
    cdef readonly list parts

    cpdef bint is_simple(self) except -1


cdef int _UNKNOWN, _PLAIN, _LENGTH, _DATE, _SERVER, _CONNECTION, _CODING, _KEEP_ALIVE
cdef int _CR, _LF, _NUL
cdef dict _SPECIAL, _ROLES
cdef bytes _TOKEN

@cython.locals(fields=Fields, parts=list, special=list, role=int, name=bytes, value=bytes, block=bytes)
cpdef Fields encode_fields(object headers)

@cython.locals(role=int)
cdef Fields _framed(bytes block, list special)
@cython.locals(is_token=bint)
cdef int _role_of(bytes name) except -1
@cython.locals(fields=Fields)
cdef Fields _fields_of(bytes block, object length, bint closes, bint has_date, bint has_server, bint is_plain)
cdef tuple _tuple_of(object headers)
@cython.locals(plain=str)
cdef bytes _latin1(object text, object pair, str what)
cdef _check_value(bytes name, bytes value)
cdef _length_of(bytes value, object before)
cdef bint _once(str name, bint is_given) except -1
cdef bint _check_coding(bytes value) except -1
