cdef class Schedule:
    cdef dict _rings

    cpdef bint has_one(self) except -1
    cpdef add(self, int stream_id, object priority)
    cpdef discard(self, int stream_id)
    cpdef int next(self) except -1
