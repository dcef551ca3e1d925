from uvicorn.bridge.costs cimport Cost


cdef class ThreadCall:
    cdef readonly Cost cost
    cdef public double submitted_at
    cdef public double started_at
    cdef readonly double ran_seconds
    cdef public bint is_waiting
    cdef public bint must_run
    cdef readonly bint is_settled
    cdef public bint is_counted
    cdef public bint is_late
    cdef public object nest
    cdef public object future
    cdef readonly object work
    cdef readonly object threads
    cdef public object pool
    cdef readonly object result
    cdef readonly object error
    cdef object _function
    cdef tuple _args
    cdef object _context

    cpdef bint run(self) except -1
    cpdef call(self, object context, object function, tuple args)
    cpdef bint take_back(self) except -1
    cpdef drop(self, object error)


cpdef _settle(ThreadCall call)
