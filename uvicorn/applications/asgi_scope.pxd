cimport cython

from uvicorn.applications.environ cimport below


@cython.locals(root=str, path=str, raw_path=bytes, headers=list, field=list)
cpdef dict make_scope(object message, dict state)
cdef str _text(str text)
