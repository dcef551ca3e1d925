import os
import sys

import uvicorn.channels1

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "legacy.settings")
    uvicorn.channels1.install()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
