"""`python -m uvicorn`: the same as the `uvicorn` command."""

from uvicorn.cli import main

if __name__ == "__main__":
    main()
