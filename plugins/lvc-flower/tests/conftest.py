"""Lets the tests that need no Flower run where the package is not installed: Flower keeps others from new versions."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("lvc_flower") is None:
    sys.path.append(str(Path(__file__).resolve().parents[1]))
