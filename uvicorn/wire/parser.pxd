cimport cython

from uvicorn.messages cimport Message
from uvicorn.wire.head cimport HeaderPolicy, Special
from uvicorn.wire.request_line cimport RequestLine, take_origin


# Copies in C.
cdef int _LF, _CR, _SLASH, _SPACE, _HASH, _PERCENT, _UNDERSCORE
cdef dict METHODS


cdef class RequestParser:
    cdef list _client
    cdef bint _has_ended
    cdef bint _has_more
    cdef bint _has_underscores
    cdef list _headers
    cdef bint _is_reusable
    cdef bint _is_upgrade
    cdef object _limits
    cdef Py_ssize_t _longest_unchecked
    cdef Py_ssize_t _longest_unsearched
    cdef Py_ssize_t _most_fields
    cdef dict _names
    cdef object _parser
    cdef HeaderPolicy _policy
    cdef list _server
    cdef frozenset _special_names
    cdef dict _special_spellings
    cdef list _specials
    cdef bytes _target
    cdef readonly dict base
    cdef readonly bint is_believed
    cdef readonly RequestLine request_line
    cdef readonly Special special

    cpdef set_base(self, dict base)
    cpdef set_policy(self, HeaderPolicy policy)

    @cython.locals(
        name=bytes, headers=list, target=bytes, at=Py_ssize_t, is_http10=bint, method=str, special=Special, has_body=bint, message=Message,
        origin=bytes, raw_path=bytes, query=bytes, decoded=bytes, path=str, version=str,
    )
    cpdef object head(self, bytes head)
    cpdef object lone_head(self, bytes data)
    cdef bytes _feed(self, bytes head)

    cpdef on_url(self, bytes url)
    @cython.locals(lowered=bytes, field=list)
    cpdef on_header(self, bytes name, bytes value)
    cpdef on_body(self, bytes body)
    cpdef on_message_complete(self)
