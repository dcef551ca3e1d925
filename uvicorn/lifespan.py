"""Not here: to import it says what to do instead."""

from uvicorn.command.missing import refuse_module

refuse_module(__name__, "the lifespan is private (uvicorn.applications.lifespan); serve with uvicorn.Server")
