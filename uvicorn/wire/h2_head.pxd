cimport cython

from uvicorn.messages cimport Message
from uvicorn.wire.head cimport HeaderPolicy
from uvicorn.wire.request_line cimport RequestLine, take_origin


cdef int _COLON, _SPACE, _SLASH, _VERSION_BYTES, _LINE_BYTES
cdef bytes _IN_TARGETS, _BLANKED
cdef dict METHODS
cdef frozenset _SCHEMES, _LOOKED_AT


cdef class HeadReader:
    cdef bytes _authority
    cdef frozenset _ordinary
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

    @cython.locals(
        headers=list, special=list, name=bytes, value=bytes, values=bytes, names=frozenset, ordinary=frozenset, longest=Py_ssize_t,
        has_underscores=bint, method=bytes, scheme=bytes, path=bytes, authority=bytes, protocol=bytes, host=bytes, message=Message,
    )
    cpdef object read(self, object fields, bint is_ended)
    @cython.locals(line=Py_ssize_t)
    cdef _check_line(self, bytes method, bytes scheme, bytes target, bytes protocol)
    @cython.locals(
        raw_path=bytes, query=bytes, decoded=bytes, path=str, shown_method=str, message=Message, client=list, server=list
    )
    cdef Message _message(self, bytes method, bytes target, list headers)
    cdef tuple _read_special(self, list fields, bint is_ended)


@cython.locals(field=list)
cdef _add_cookie(list headers, bytes value)
