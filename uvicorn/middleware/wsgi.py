"""`WSGIMiddleware`, by the name under which other packages import it; WSGI applications are served without it."""

from uvicorn.applications.wsgi_in_asgi import WSGIMiddleware

__all__ = ["WSGIMiddleware"]
