"""ASGI applications around others, by the names under which other packages import them."""
