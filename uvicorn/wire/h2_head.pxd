cimport cython

from uvicorn.wire.encoder cimport Encoder
from uvicorn.wire.head cimport HeaderPolicy
from uvicorn.wire.reply cimport Fields
from uvicorn.wire.request_line cimport RequestLine


cdef class HeadReader:
    cdef bytes _authority
    cdef dict _known
    cdef HeaderPolicy _policy
    cdef list _proxied
    cdef frozenset _special
    cdef Py_ssize_t _longest_field
    cdef Py_ssize_t _longest_line
    cdef Py_ssize_t _most_fields
    cdef public dict base
    cdef public object content_length
    cdef readonly bint is_believed
    cdef public bint expects_continue
    cdef public object priority
    cdef public bytes protocol
    cdef public RequestLine request_line

    @cython.locals(pseudo=dict, headers=list, special=list, name=bytes, value=bytes, longest=Py_ssize_t, has_underscores=bint)
    cpdef object read(self, object fields, bint is_ended)
    @cython.locals(name=bytes, target=bytes, raw_path=bytes, query=bytes, decoded=bytes, path=str, line=Py_ssize_t)
    cdef object _message(self, dict pseudo, list headers, object host)
    cdef tuple _read_special(self, list fields, bint is_ended)


cdef class HeadWriter:
    cdef Encoder _encoder
    cdef dict _prefixes

    @cython.locals(made=tuple, pairs=list, prefix=bytes)
    cpdef list head(self, int status, Fields fields, object length)


@cython.locals(line=bytes, name=bytes, value=bytes, pairs=list, at=Py_ssize_t)
cpdef list pairs_of(bytes block)
