from uvicorn.bridge.outbox cimport Outbox
from uvicorn.bridge.thread_call cimport ThreadCall
from uvicorn.bridge.work cimport Work


cdef class FrameworkThreads:
    cdef readonly object pool
    cdef readonly Outbox outbox
    cdef public object gate
    cdef public Py_ssize_t in_flight
    cdef readonly object calls
    cdef readonly object behind
    cdef list _late
    cdef set _nests
    cdef readonly object extra
    cdef object _shared
    cdef object _refused

    cpdef submit(self, ThreadCall call, bint must_run=*)
    cdef _nest_of(self, Work work)
    cdef _count(self, ThreadCall call, str kind, object pool)


cpdef nest_now()
