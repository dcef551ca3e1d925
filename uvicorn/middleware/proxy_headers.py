"""`ProxyHeadersMiddleware`, by the name under which other packages import it; `proxy_headers` needs none."""

from uvicorn.applications.forwarded import ProxyHeadersMiddleware

__all__ = ["ProxyHeadersMiddleware"]
