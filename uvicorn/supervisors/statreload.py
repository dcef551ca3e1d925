"""Not here: to import it says what to do instead."""

from uvicorn.command.missing import refuse_module

refuse_module(__name__, "there is one supervisor that reloads: uvicorn.supervisors.ChangeReload")
