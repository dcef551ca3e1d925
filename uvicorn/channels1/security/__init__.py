"""Which sites may open sockets."""
