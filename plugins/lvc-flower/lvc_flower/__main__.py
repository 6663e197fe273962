"""``python -m lvc_flower``."""

import sys

from lvc_flower.cli import main

sys.exit(main())
