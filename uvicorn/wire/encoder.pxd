from uvicorn.wire.reply cimport Fields


cdef class Encoder:
    cdef bytes _server
    cdef bytes _date
    cdef bytes _more
    cdef bint _sends_date
    cdef readonly dict prefixes

    cpdef bytes prefix(self, int status)
    cpdef bytes whole(self, int status, Fields fields, bytes content)
    cpdef bytes head(self, int status, Fields fields, object length, bytes connection=*)


cdef int _FEW
cdef list _LENGTHS
cdef dict _REASONS

cpdef bytes content_length(Py_ssize_t length)
cpdef tuple chunk(bytes content)
cpdef bytes last_chunk(bytes trailers)
cdef bytes _status_line(int status)
