cimport cython


cdef class Outbox:
    cdef readonly object loop
    cdef readonly unsigned long loop_thread
    cdef readonly object directory
    cdef readonly object loop_native_id
    cdef public bint is_untimed
    cdef public int timers  # int, a few
    cdef public double lag_seconds
    cdef public Py_ssize_t timed_wake_ups
    cdef object _log
    cdef object _items
    cdef object _context
    cdef bint _is_woken
    cdef double _woken_at

    cpdef put(self, object function, object argument=*)
    cpdef drain_now(self)
    cdef _run(self, Py_ssize_t count)
