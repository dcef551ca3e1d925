"""The processes that Channels 1 needed, and this server does not: each command says what to run."""
