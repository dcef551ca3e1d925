"""Not here: to import it says what to do instead."""

from uvicorn.command.missing import refuse_module

refuse_module(__name__, "its colours are those of uvicorn.logging.ColourizedFormatter; click.style paints texts")
