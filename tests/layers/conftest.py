"""The doubles of the bridge are used here, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "bridge"))
