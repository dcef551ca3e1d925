"""The examples of the checkout, without the source of the package that lies beside them.

Servers are to run what is installed, compiled or not. With the root of the checkout on their path they would run its
source.
"""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "examples")]
