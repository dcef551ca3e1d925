cdef class Schedule:
    cdef dict _rings

    cpdef add(self, int stream_id, object priority)
    cpdef discard(self, int stream_id)
    cpdef int next(self) except -1
