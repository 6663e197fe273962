"""The exported folder: graphs, constants, a description with hashes, and the cards of the weights."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lightning_voiceclone import __version__
from lightning_voiceclone.checkpoints.voice_folder import CARD, voice_path
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.features.filterbank import mel_filterbank
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MFCC, STFT, MelSpectrogram
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.export.check import LIMIT, OWN, OWN_LIMIT, differences
from lightning_voiceclone.inference.export.graphs import STATE, graphs_of, state_of
from lightning_voiceclone.utils.files import atomic_folder, unwritable_above
from lightning_voiceclone.utils.optional import file_sha256, need
from lightning_voiceclone.voice.model import VoiceModel

DESCRIPTION, CONSTANTS = "export.json", "constants.npz"
FORMAT = 2  # 2 since a generator's reference has a graph of its own, and only parts that wait have a last one
F0_FORMAT = 3  # where the vocoder takes f0
PACKAGE = Path(__file__).parents[2]
COMPUTED = {  # by lvc-runtime, without a graph: transforms by FFT are slow in ONNX Runtime
    "feature_extractor": (MelSpectrogram, STFT, MFCC), "pitch": (Pitch,), "energy": (Energy,),
}  # fmt: skip
ROLES = ("content_encoder", "speaker_encoder", "generator", "vocoder")


def check_place(folder: Path) -> None:
    """Reject an output folder that holds something other than an export: call it before work that takes long.

    Raises:
        ConfigurationError: if something else is there, or nothing may be written there.
    """
    if folder.exists() and not (folder / DESCRIPTION).is_file():
        raise ConfigurationError(f"{folder} is there already and is no export; name another with --output")
    if (above := unwritable_above(folder)) is not None:
        raise ConfigurationError(
            f"{folder} cannot be made: {above} is no folder that you may write to; name another with --output"
        )


def export_model(
    model: Converter,
    folder: Path,
    source: np.ndarray,
    reference: np.ndarray,
    *,
    path: str = "default",
    report: Callable[[str, float], None],
) -> None:
    """Write an exported folder, whole or not at all, after comparing it with the model.

    Args:
        model: on the CPU.
        folder: to write; an export that is there is replaced.
        source: (N,) samples of speech to compare with, at the model's rate.
        reference: likewise, of the target.
        path: where the model comes from, whose card is copied.
        report: called with what is compared and the greatest difference.

    Raises:
        ConfigurationError: if a part cannot be exported, or something else is at the folder's place.
        LVCError: if the samples differ by more than 1e-4.
        PluginError: if lvc-runtime or onnxscript is not installed.
    """
    check_place(folder)
    runtime = need("lvc_runtime", "onnx")
    voice = model.voice
    _check_parts(voice)
    graphs = graphs_of(voice)
    for graph in graphs:
        graph.check()
    with atomic_folder(folder) as temporary:
        for graph in graphs:
            graph.write(temporary / f"{graph.name}.onnx")
        np.savez(temporary / CONSTANTS, **_constants(voice))
        cards = _cards(voice, path, temporary)
        described = _description(model, path) | {
            "card": cards,
            "files": {file.name: file_sha256(file) for file in sorted(temporary.iterdir())},
        }
        (temporary / DESCRIPTION).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
        for name, difference in differences(voice, runtime.load(temporary), source, reference):
            report(name, difference)
            limit = OWN_LIMIT if name == OWN else LIMIT
            if name.startswith("samples") and not difference <= limit:
                raise LVCError(
                    f"the export is not written: {name} differ by {difference:.1e} from PyTorch's, expected at most"
                    f" {limit:g}; try another recording with --check, and report it if they differ too"
                )


def _check_parts(voice: VoiceModel) -> None:
    """Reject a model that cannot be exported, before its graphs are made."""
    for role, classes in COMPUTED.items():
        part = getattr(voice, role)
        if part is not None and type(part) not in classes:
            raise ConfigurationError(
                f"the {role}, {type(part).__name__}, cannot be exported: lvc-runtime computes"
                f" {', '.join(cls.__name__ for cls in classes)} only"
            )
    if voice.content_encoder is None:
        raise ConfigurationError("this model has no content encoder: it cannot convert recordings")
    if voice.noise:
        raise ConfigurationError(
            f"the generator, {type(voice.generator).__name__}, cannot be exported: it takes noise, which lvc-runtime"
            " cannot draw as torch does"
        )
    if not voice.needs_reference:
        raise ConfigurationError("this model takes no reference: its output has one voice only")


def _constants(voice: VoiceModel) -> dict[str, np.ndarray]:
    extractor: Any = voice.feature_extractor
    made: dict[str, Any] = {"window": extractor.window, "mean": voice.normalizer.mean, "scale": voice.normalizer.scale}
    if voice.spec.n_mels is not None:
        made["filters"] = mel_filterbank(voice.spec)
    if isinstance(extractor, MFCC):
        made["cosines"] = extractor.cosines
    for role in ROLES:
        made |= {f"{STATE}{role}.{name}": value for name, value in state_of(getattr(voice, role)).items()}
    if voice.own is not None:
        made |= {f"own.{name}": value for name, value in voice.own.prompt().tensors().items()}
    return {name: value.cpu().numpy() for name, value in made.items()}


def _description(model: Converter, path: str) -> dict[str, Any]:
    voice = model.voice
    analysis = functools.reduce(Context.beside, (extractor.context for extractor in voice.extractors))
    parts = {role: getattr(voice, role) for role in ROLES if getattr(voice, role) is not None}
    contexts = {role: part.context for role, part in parts.items() if part.context is not None}
    return {
        "format": F0_FORMAT if voice.vocoder.needs else FORMAT,
        "version": __version__,
        "model": {"path": str(path), "fingerprint": model.fingerprint},
        "model_sha256": model.model_sha256,
        "spec": voice.spec.to_mapping(),
        "pitch": None if voice.pitch is None else voice.pitch.spec.to_mapping(),
        "energy": None if voice.energy is None else voice.energy.spec.to_mapping(),
        "parts": {role: _part(part) for role, part in parts.items()},
        "contexts": {role: _context(context) for role, context in {"analysis": analysis, **contexts}.items()},
        "needs": sorted(voice.generator.needs),
        "guidance": voice.guidance,
    }


def _part(part: Part) -> dict[str, Any]:
    made: dict[str, Any] = {"class": type(part).__name__, "stateful": bool(state_of(part))}
    if isinstance(part, Vocoder) and part.needs:
        made["needs"] = sorted(part.needs)
    return made | {name: getattr(part, name) for name in ("frame_rate", "channels", "takes") if hasattr(part, name)}


def _context(context: Context) -> dict[str, float | None]:
    sides = {"left": context.left, "right": context.right}
    return {side: None if value == float("inf") else value for side, value in sides.items()} | {"grid": context.grid}


def _cards(voice: VoiceModel, path: str, folder: Path) -> list[str]:
    """Copies of the cards, with the licences, of the model and of the weights in it that ship with a package."""
    found = {CARD: voice_path(path) / CARD}
    for role in ROLES:
        part = getattr(voice, role)
        if part is not None and part.weights_sha256 is not None and part.shipped is not None:
            found[f"{role}.{CARD}"] = PACKAGE / part.shipped[1] / CARD
    there = {name: card for name, card in found.items() if card.is_file()}
    for name, card in there.items():
        (folder / name).write_bytes(card.read_bytes())
    return list(there)
