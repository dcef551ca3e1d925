cimport cython


cdef dict _TEMPLATE, _names

@cython.locals(environ=dict, root=str, path=str, query=bytes, raw=bytes, client=list, server=list)
cpdef dict make_environ(object message, object body_size)
cpdef bint below(str path, str root) except -1
@cython.locals(name=bytes, value=bytes, text=str, key=str, field=list, size=Py_ssize_t)
cdef _add_fields(dict environ, list headers)
@cython.locals(key=str)
cdef str _name(bytes name)
cdef str _wsgi_text(str text)
cdef bint _has_body(dict environ, Py_ssize_t body_size) except -1
cdef _name_from_host(dict environ)
