cdef class Accounts:
    cdef dict _left
    cdef double _at
    cdef public str overdrawn

    cpdef give(self, str kind, double count)
    cpdef answered(self)
