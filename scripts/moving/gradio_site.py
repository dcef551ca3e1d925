"""Gradio's demo: launched, asked by its own client, and closed."""

import sys

import gradio
from gradio_client import Client


def greet(name: str) -> str:
    return f"Hello {name}!"


demo = gradio.Interface(fn=greet, inputs="text", outputs="text", api_name="greet")
demo.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), prevent_thread_lock=True, quiet=True)
print(Client(f"http://127.0.0.1:{sys.argv[1]}", verbose=False).predict("you", api_name="/greet"), flush=True)
demo.close()
