"""The loop's side: connections, exchanges, sockets, and the server that owns them. Knows no Gunicorn."""
