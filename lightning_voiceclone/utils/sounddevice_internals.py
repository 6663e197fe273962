"""Private API of sounddevice, with its reason."""

from types import ModuleType


def rescan(sounddevice: ModuleType) -> None:
    """Let PortAudio look for devices again, which it does only when it begins. No stream may be open."""
    sounddevice._terminate()
    sounddevice._initialize()
