"""Zero-shot voice conversion and GAN training in PyTorch Lightning; every component is a plugin.

    import lightning_voiceclone as lvc

    model = lvc.load_model("default")
    speaker = model.speaker("b.wav", "b2.wav")
    lvc.write("c.wav", model.convert("a.wav", speaker))

What ``__all__`` names is the public API; it is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Audio",
    "Converter",
    "LVCError",
    "RunResult",
    "Speaker",
    "__version__",
    "load_model",
    "read",
    "train",
    "write",
]

if TYPE_CHECKING:
    from lightning_voiceclone.cli.train import RunResult, train
    from lightning_voiceclone.errors import LVCError
    from lightning_voiceclone.inference.converter import Converter, load_model
    from lightning_voiceclone.inference.recordings import Audio, read, write
    from lightning_voiceclone.inference.speaker import Speaker

_HOMES = dict.fromkeys(["Converter", "load_model"], "inference.converter")
_HOMES |= dict.fromkeys(["Audio", "read", "write"], "inference.recordings")
_HOMES |= dict.fromkeys(["RunResult", "train"], "cli.train")
_HOMES["Speaker"] = "inference.speaker"
_HOMES["LVCError"] = "errors"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
