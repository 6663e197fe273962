"""``python -m lightning_voiceclone`` is ``lvc``."""

import sys

from lightning_voiceclone.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
