"""A recipe that trains within seconds."""

from collections.abc import Mapping
from typing import Any


def small_recipe(
    *, model: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings of ``lvc fit``, as YAML has them, for the parts of :func:`~lightning_voiceclone.testing.small_voice`.

    It trains on speaker folders with at least one speaker more than the one for validation, and recordings of 0.4 s.

    Args:
        model: settings of the module, beside these or in their place.
        data: settings of the data, likewise; ``root`` is to be given there or on the command line.
        sections: of the recipe: ``trainer``, beside what keeps it quiet, ``checkpoint`` and others.
    """
    small = {"width": 8, "layers": 1}
    parts = {
        "feature_extractor": _part("MelSpectrogram", n_mels=20),
        "generator": _part("ConvGenerator", **small),
        "discriminator": _part("PatchDiscriminator", width=4, layers=2),
        "content_encoder": _part("InstanceNormContentEncoder", channels=4, **small),
        "speaker_encoder": _part("StatisticsSpeakerEncoder", channels=8, **small),
        "vocoder": _part("GriffinLim", iterations=2),
        "weights": {"reconstruction": 10, "adversarial": 1, "feature_matching": 2},
    }
    crops = {"segment_seconds": 0.4, "reference_seconds": 0.4, "batch_size": 2}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    return {
        **sections,
        "model": {"class_path": "VoiceModule", "init_args": parts | dict(model or {})},
        "data": {"corpus": "SpeakerFolders", "validation": 1, **crops, **(data or {})},
        "trainer": {**quiet, **sections.get("trainer", {})},
    }


def _part(name: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": name, "init_args": settings}
