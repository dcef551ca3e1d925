cimport cython

from uvicorn.connections.beginning cimport BeginningConnection
from uvicorn.connections.exchange cimport Exchange
from uvicorn.connections.pipeline cimport Pipeline
from uvicorn.connections.service cimport Service
from uvicorn.connections.turns cimport Turns
from uvicorn.wire.framing cimport HeadBuffer
from uvicorn.wire.head cimport Special
from uvicorn.wire.parser cimport RequestParser
from uvicorn.wire.request_line cimport RequestLine


cdef class HTTPConnection(BeginningConnection):
    cdef bint _sends_ahead
    cdef Turns _turns
    cdef object _body_reader
    cdef Py_ssize_t _most_whole

    cpdef data_received(self, bytes data)
    @cython.locals(buffer=HeadBuffer)
    cdef Py_ssize_t _find_head(self, bytes data, Py_ssize_t at) except -1
    @cython.locals(
        exchanges=list, exchange=Exchange, pipeline=Pipeline, parser=RequestParser, request_line=RequestLine, service=Service, special=Special,
        size=cython.longlong, is_whole=bint,
    )
    cdef Py_ssize_t _begin(self, object message, bytes data, Py_ssize_t at) except -1
