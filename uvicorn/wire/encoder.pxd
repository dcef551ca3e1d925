cdef class Encoder:
    cdef bytes _server
    cdef bytes _date
    cdef readonly dict prefixes

    cpdef bytes prefix(self, int status)
    cpdef bytes whole(self, int status, bytes block, bytes content)
