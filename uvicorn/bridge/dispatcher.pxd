cimport cython

from uvicorn.bridge.channels cimport ReplyChannel
from uvicorn.bridge.jobs cimport ConsumerJob
from uvicorn.bridge.outbox cimport Outbox
from uvicorn.bridge.tally cimport Measured


cdef bint _TASKS_TAKE_CONTEXTS, _TASKS_MAY_BE_EAGER
cdef object _Task


cdef class Dispatcher:
    cdef readonly object pool
    cdef dict _named_pools
    cdef readonly tuple pools
    cdef readonly tuple all_pools
    cdef readonly object crossing
    cdef readonly object hooks
    cdef readonly tuple governors
    cdef readonly Outbox outbox
    cdef object _loop
    cdef object _log
    cdef readonly double queue_timeout
    cdef readonly object shared
    cdef readonly dict frameworks
    cdef Py_ssize_t _rejected
    cdef str _reason
    cdef readonly Measured measured
    cdef readonly object context
    cdef readonly tuple context_items
    cdef public bint is_attended
    cdef readonly object running
    cdef dict _tasks
    cdef readonly bint has_task_factory
    cdef bint _is_eager

    @cython.locals(job=ConsumerJob, channel=ReplyChannel, is_async=bint)
    cpdef dispatch(self, object consumer, object message, object exchange)
    cpdef cancel(self, object exchange, double grace)
    cpdef context_for(self, object served)
    cpdef make_task(self, object call, str name, object served=*)
    cdef _look_at_loop(self)
