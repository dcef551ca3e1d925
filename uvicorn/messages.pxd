# A class of C, so that `message[key]` takes dict's own way: in one of Python it goes through a lookup of `__getitem__`,
# which costs three times as much.
cdef class Message(dict):
    pass
