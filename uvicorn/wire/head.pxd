cimport cython

from uvicorn.wire.forwarded cimport Forwarding


cdef int _CLOSES, _KEEPS, _UPGRADES
cdef dict _OPTIONS


cdef class HeaderPolicy:
    cdef dict _secure
    cdef frozenset _forwarder
    cdef str _header_map
    cdef bint _takes_root_path
    cdef readonly Forwarding forwarding
    cdef readonly bint is_believed
    cdef readonly frozenset special
    cdef readonly dict names
    cdef readonly dict special_names

    cpdef tuple map_names(self, list headers)
    cpdef str scheme(self, bytes name, bytes value, str before)


cdef class Special:
    cdef bytes _host
    cdef readonly bint asks_for_socket
    cdef readonly long long content_length
    cdef readonly bint expects_continue
    cdef readonly bint is_chunked
    cdef readonly bint is_proxied
    cdef readonly bint persists
    cdef readonly str scheme

    @cython.locals(
        hosts=cython.int, options=cython.int, length=bytes, codings=bytes, expects=bint, names_websocket=bint, has_key=bint,
        is_proxied=bint, scheme=str, field=list, name=bytes, value=bytes,
    )
    cpdef read(self, list fields, HeaderPolicy policy, bint is_http10)
