cimport cython

from uvicorn.bridge.framework_calls cimport FrameworkThreads
from uvicorn.bridge.thread_call cimport ThreadCall
from uvicorn.bridge.work cimport Work


cdef class AnyioCall(ThreadCall):
    cdef public object scope
    cdef public object token

    cpdef call(self, object context, object function, tuple args)


@cython.locals(work=Work, threads=FrameworkThreads)
cpdef work_on(object loop)
