"""Modules of an application that tests write."""

APPLICATION = """
from uvicorn import route

def application(message):
    pass

def hello_world(message):
    pass

async def hello_async(message):
    pass

def factory(name, *, loud=False):
    def made(message):
        pass
    made.facts = name, loud
    return made

class HelloClass:
    pass

def list_factory():
    return [route("http.request", hello_world)]

routes = [route("http.request", hello_world)]
number = 7
"""


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
