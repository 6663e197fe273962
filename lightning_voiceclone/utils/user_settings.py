"""What a command remembers of a user, in the user's folder of configurations: small mappings of text."""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.files import atomic_file
from lightning_voiceclone.utils.reading import bounded_bytes, is_text_mapping, parse_json

MOST_BYTES = 1 << 20


def settings_folder() -> Path:
    """``LVC_CONFIG``, or the folder that the system has for this."""
    if given := os.environ.get("LVC_CONFIG"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        base = "~/Library/Application Support"
    elif os.name == "nt":
        base = os.environ.get("APPDATA") or "~"
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "lightning-voiceclone"


def load_settings(name: str) -> dict[str, str]:
    """Settings that were saved; none where there are none, or the file is damaged."""
    path = settings_folder() / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, ConfigurationError):
        read = parse_json(bounded_bytes(path, MOST_BYTES, "remove it"))
        return dict(read) if is_text_mapping(read) else {}
    return {}


def save_settings(name: str, values: Mapping[str, str]) -> None:
    """Save settings; where that cannot be done, they are not remembered."""
    with contextlib.suppress(OSError), atomic_file(settings_folder() / f"{name}.json", durable=False) as temporary:
        temporary.write_text(json.dumps(dict(values), indent=1), encoding="utf-8")
