"""`runserver` starts this server. Of the processes that it does not need each command says what to run instead."""
