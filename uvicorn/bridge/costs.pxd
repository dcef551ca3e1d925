from uvicorn.bridge.tally cimport Tally


cdef class Cost:
    cdef readonly str name
    cdef readonly bint is_long
    cdef readonly bint is_exit
    cdef readonly bint is_passing
    cdef readonly object load
    cdef readonly Tally tally


cpdef Cost cost_of(object function, tuple args=*)
cdef object _key_of_function(object function)
cdef object _key_of_method(object method)
