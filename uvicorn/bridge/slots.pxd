cdef class Slot:
    cdef readonly object clock
    cdef public object job
    cdef readonly object pinned
    cdef public object stuck
    cdef readonly object thread_id
    cdef readonly object lock
