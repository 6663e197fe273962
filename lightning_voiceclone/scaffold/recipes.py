"""Recipes of a new package, on top of those that ship, and the commands from there to a clone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lightning_voiceclone.core.kinds import Kind

GRIFFIN_LIM = "vocoder: {class_path: GriffinLim, init_args: {iterations: 32}}"  # takes any spectrum, without training
NO_WARPING = "content_transforms: null  # warping mel bands has no meaning for other channels"
FILES = "--source a.wav --reference b.wav --output c.wav"
LAST = "{folder}/version_0/checkpoints/last.ckpt"


class Named(Protocol):
    """A part to write: its kind, the name of its class, and what its names in reports begin with."""

    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def module(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Base:
    """A recipe that ships, as far as it can take parts of a package.

    Args:
        recipe: its name.
        model: what a part of a kind is written as, below ``model.init_args``.
        data: likewise, below ``data``.
        commands: from its last checkpoint to a clone.
    """

    recipe: str
    model: Mapping[str, str]
    data: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()


BASES = {
    "recipe.yaml": Base(
        "librispeech.yaml",
        {"feature_extractors": "feature_extractor: {}", "content_encoders": "content_encoder: {}",
         "speaker_encoders": "speaker_encoder: {}", "generators": "generator: {}",
         "discriminators": "discriminator: {}", "adversarial_losses": "adversarial_loss: {}",
         "audio_transforms": "augmentation: [{{class_path: {}}}]",
         "feature_transforms": "content_transforms: [{{class_path: {}}}]"},
        {"corpora": "corpus: {}"},
        [f"lvc clone --checkpoint {LAST} {FILES}"],
    ),
    "recipe_vocoder.yaml": Base(
        "vocoder_vocos.yaml", {"vocoders": "vocoder: {}"},
        commands=[f"lvc clone --checkpoint default --vocoder {LAST} {FILES}"],
    ),
    "recipe_text.yaml": Base(
        "text_small.yaml", {"text_encoders": "text_encoder: {}\nweights: {{mean: 1}}  # of its losses, by name"},
        commands=[f"lvc save default --text-encoder {LAST} --output voice",
                  'lvc say "Good morning." --checkpoint voice --reference b.wav --output c.wav'],
    ),
    "recipe_style.yaml": Base(
        "text_small.yaml", {"style_encoders": "text_encoder: {{init_args: {{style_encoder: {}}}}}"},
        commands=[f"lvc save default --text-encoder {LAST} --output voice",
                  'lvc say "Good morning." --checkpoint voice --reference b.wav --style d.wav --output c.wav'],
    ),
}  # fmt: skip
# Options of lvc evaluate, of kinds that no training uses.
EVALUATE = {
    "metrics": "--measures {module}_level_difference",
    "recognizers": "--measures wer --recognizer {name}",
}


@dataclass(frozen=True)
class Overlay:
    """A recipe to write.

    Args:
        base: on top of which it is used.
        text: of it.
    """

    base: Base
    text: str


def overlays(parts: Sequence[Named]) -> dict[str, Overlay]:
    """Recipes that put the parts, the first of each kind, in place of a shipped recipe's own; by the file's name."""
    used = {part.kind.name: part for part in reversed(parts)}
    made = {}
    for path, base in BASES.items():
        model, data = (
            [line for kind, line in lines.items() if kind in used for line in line.format(used[kind].name).splitlines()]
            for lines in (base.model, base.data)
        )
        monitor = None
        if path == "recipe.yaml":
            own_features = "feature_extractors" in used
            monitor = f"validation/{'stft' if own_features else 'mel'}_l1"
            if own_features:
                model += [GRIFFIN_LIM] if "feature_transforms" in used else [NO_WARPING, GRIFFIN_LIM]
        if model or data:
            made[path] = Overlay(base, _written(path, base, model, data, monitor))
    return made


def _written(path: str, base: Base, model: Sequence[str], data: Sequence[str], monitor: str | None) -> str:
    text = f"# In place of the recipe's own parts:\n#   {_fit(base, path)}\n"
    if model:
        text += "model:\n  init_args:\n" + "".join(f"    {line}\n" for line in model)
    if data:
        text += "data:\n" + "".join(f"  {line}\n" for line in data)
    return text + (f"checkpoint: {{monitor: {monitor}, mode: min}}\n" if monitor else "")


def _fit(base: Base, path: str) -> str:
    return f"lvc fit --config {base.recipe} --config {path} --data.root PATH"


def use_commands(parts: Sequence[Named], folder: Path) -> list[str]:
    """Commands that train the parts and clone with them, or measure clones by them; PATH and PAIRS.tsv are to fill in.

    Args:
        parts: of the package.
        folder: of the package, from where the commands are run.
    """
    commands = []
    for path, overlay in overlays(parts).items():
        commands.append(_fit(overlay.base, str(folder / path)))
        run = f"runs/{Path(path).stem}"
        commands += [command.format(folder=run) for command in overlay.base.commands]
    for part in parts:
        if options := EVALUATE.get(part.kind.name):
            named = options.format(name=part.name, module=part.module)
            commands.append(f"lvc evaluate --pairs PAIRS.tsv --checkpoint default --output report {named}")
    return commands
