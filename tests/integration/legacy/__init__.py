"""A project of Channels 1: the examples of its documentation, written anew in the shapes in which they were published.

Nothing here imports uvicorn: `--channels1` lets `import channels` find it.
"""
