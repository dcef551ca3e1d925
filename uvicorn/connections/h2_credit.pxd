from uvicorn.connections.h2_owner cimport StreamOwner


cdef class Credit:
    cdef Py_ssize_t _owed
    cdef StreamOwner _owner
    cdef int _stream_id
    cdef public int reasons

    cpdef came(self, Py_ssize_t size)
    cpdef settle(self)
