from uvicorn.bridge.outbox cimport Outbox
from uvicorn.connections.numbers cimport Numbers
from uvicorn.connections.turns cimport Turns
from uvicorn.wire.encoder cimport Encoder


cdef class Service:
    cdef public object loop
    cdef public object clock
    cdef public object limits
    cdef public object application
    cdef public object dispatcher
    cdef public Outbox outbox
    cdef public Encoder encoder
    cdef public object spools
    cdef public object peers
    cdef public object log
    cdef public str scheme
    cdef public str root_path
    cdef public bint has_hooks
    cdef public Py_ssize_t requests
    cdef public Numbers numbers
    cdef public Py_ssize_t most_requests
    cdef public object on_most_requests
    cdef public object report
    cdef public bint shows_errors
    cdef public object http2
    cdef public set connections
    cdef public set sockets
    cdef public Turns turns
    cdef public object call_runner
    cdef public object addresses
    cdef public object on_connection_lost
    cdef public bint is_observed
    cdef public bint keeps_connections
    cdef public bint is_stopping
    cdef public bint wants_collection
    cdef public double now
