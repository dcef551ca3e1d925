"""Not here: to import it says what to do instead."""

from uvicorn.command.missing import refuse_module

refuse_module(__name__, "give loop= to uvicorn.run, or Config.get_loop_factory() to asyncio.Runner")
