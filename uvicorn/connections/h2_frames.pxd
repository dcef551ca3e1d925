cimport cython

from uvicorn.connections.exchange cimport Exchange
from uvicorn.connections.h2_ending cimport EndingConnection
from uvicorn.connections.h2_stream cimport Stream
from uvicorn.connections.service cimport Service
from uvicorn.wire.h2_head cimport HeadReader


cdef class Frames:
    cdef EndingConnection _connection
    cdef dict _early
    cdef int _gathering
    cdef int _newest
    cdef list _parts
    cdef HeadReader _reader
    cdef public list fresh
    cdef public Py_ssize_t steps

    @cython.locals(
        connection=EndingConnection, reader=HeadReader, stream=Stream, exchange=Exchange, service=Service, now=double
    )
    cpdef on_request(self, int stream_id, object fields, bint is_ended)
    @cython.locals(connection=EndingConnection)
    cpdef on_data(self, int stream_id, bytes data, bint is_ended)
    cpdef feed_gathered(self)
    @cython.locals(connection=EndingConnection)
    cdef _feed(self, int stream_id, bytes data, bint is_ended)
