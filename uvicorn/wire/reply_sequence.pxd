cimport cython

from uvicorn.wire.reply cimport Fields, encode_fields


cdef class ReplySequence:
    cdef bint _is_head
    cdef int _state
    cdef object _remaining  # int or None

    @cython.locals(given=dict, fields=Fields)
    cpdef tuple admit(self, object reply)
    cdef tuple _admit_chunk(self, object headers, bytes content, bint more)
    cdef _admit_length(self, object promised, int status, bytes content, bint more)
    cdef _take_promised(self, Py_ssize_t size, bint more)
    cdef _out_of_order(self, str kind)


cdef dict _dict_of(object reply)
