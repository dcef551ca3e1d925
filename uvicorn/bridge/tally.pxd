cimport cython


cdef double _FIRST


cdef class Tally:
    cdef public double run_seconds
    cdef public double wait_seconds
    cdef public list runs
    cdef public list waits
    cdef public Py_ssize_t errors

    cpdef add_run(self, double seconds)
    cpdef add(self, double wait, double run)


cdef Py_ssize_t _bucket(double seconds) except -1


cdef class Measured:
    cdef object _items

    cpdef hand_over(self, Tally tally, double wait, double run)
    @cython.locals(tally=Tally, wait=double, run=double)
    cpdef take(self)
