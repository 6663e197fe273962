"""Smaller models: prune weights or hidden units by their magnitude, and fine-tune what is left for a short time."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightning_voiceclone.checkpoints.external_weights import all_weights
from lightning_voiceclone.core.part import Part, build, describe, fuse_parts
from lightning_voiceclone.errors import ConfigurationError, NotFiniteError, check_range
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss
from lightning_voiceclone.utils.progress import progress_bar
from lightning_voiceclone.voice.model import VoiceModel

UNITS, WEIGHTS = "units", "weights"
TRAINED = ("content_encoder", "vocoder")  # parts that are pruned, and fine-tuned to the original's output
CROP_SECONDS, BATCH = 1.28, 4
BACK = ("mix", "contract")  # names of a block's second dense layer; the first is expand
MULTIPLE = 8  # of hidden units that are kept: others are no faster
LEARNING_RATE = 3e-4


def check_settings(share: float, structure: str, steps: int) -> None:
    """Refuse settings that cannot work, before a model is loaded for them.

    Raises:
        ConfigurationError: names the setting and its range.
    """
    check_range("the share that is pruned", share, 0.01, 0.95)
    check_range("steps", steps, 1, 1_000_000)
    if structure not in (UNITS, WEIGHTS):
        raise ConfigurationError(f"structure is {structure!r}; {UNITS} or {WEIGHTS}")


def prune(voice: VoiceModel, share: float, structure: str = UNITS) -> dict[str, str]:
    """Prune the content encoder and the vocoder of a model, in place.

    Of units, those between the two dense layers of each block are removed whose weights are least: the product of the
    L2 norms of what enters and what leaves a unit (structured; the parts get smaller). Of weights, those of each matrix
    or kernel with the least magnitude are set to 0 (Han et al. 2015), which leaves all sizes as they are.

    Args:
        voice: the model; it is changed.
        share: that is pruned, from 0.01 to 0.95.
        structure: units or weights.

    Returns:
        What became of each part that was pruned, by its name in the model.

    Raises:
        ConfigurationError: if a setting is out of range, or there is nothing to prune.
    """
    check_settings(share, structure, 1)
    done = {}
    for role in TRAINED:
        part = getattr(voice, role)
        if part is None or (structure == UNITS and not _blocks(part)):
            continue
        made, done[role] = _with_fewer_units(part, share) if structure == UNITS else _with_zeros(part, share)
        setattr(voice, role, made.eval().requires_grad_(False))
    if not done:
        raise ConfigurationError(
            "this model has nothing to prune: neither its content encoder nor its vocoder has blocks with hidden units;"
            " prune weights instead of units"
        )
    fuse_parts(voice)
    return done


def _blocks(part: Part) -> list[tuple[str, str]]:
    """Names of the two dense layers of each block: to as many units as the part's argument ``hidden``, and back."""
    hidden = describe(part)["arguments"].get("hidden")
    dense = {name: layer for name, layer in part.named_modules() if isinstance(layer, nn.Linear)}
    found = []
    for name, layer in dense.items():
        block = name.removesuffix("expand")
        back = next((block + other for other in BACK if block + other in dense), None)
        if name.endswith("expand") and back and layer.out_features == dense[back].in_features == hidden:
            found.append((name, back))
    return found


def _built_again(part: Part, **changed: Any) -> Part:
    """A part of the same class with other arguments and no pretrained weights."""
    described = describe(part)
    arguments = {**described["arguments"], **changed}
    for name in ("pretrained", "start"):
        if name in arguments:
            arguments[name] = None
    return build({**described, "arguments": arguments})


def _with_fewer_units(part: Part, share: float) -> tuple[Part, str]:
    weights = all_weights(part)
    hidden = describe(part)["arguments"]["hidden"]
    count = max(round(hidden * (1 - share) / MULTIPLE) * MULTIPLE, MULTIPLE)
    if count >= hidden:
        raise ConfigurationError(
            f"{type(part).__name__} has {hidden} hidden units, of which a share of {share:g} is less than the"
            f" {MULTIPLE} that are removed at least; prune more"
        )
    made = _built_again(part, hidden=count)
    for expand, back in _blocks(part):
        force = weights[f"{expand}.weight"].norm(dim=1) * weights[f"{back}.weight"].norm(dim=0)
        kept = force.topk(count).indices.sort().values
        for key, axis in ((f"{expand}.weight", 0), (f"{expand}.bias", 0), (f"{back}.weight", 1)):
            weights[key] = weights[key].index_select(axis, kept)
    made.load_state_dict(weights)
    return made, f"{hidden - count} of {hidden} hidden units removed"


def _with_zeros(part: Part, share: float) -> tuple[Part, str]:
    weights = all_weights(part)
    zeros = total = 0
    for name, parameter in part.named_parameters():  # and not buffers, such as a normaliser's scale
        tensor = parameter.detach()
        if tensor.ndim > 1:
            least = tensor.abs().flatten().kthvalue(max(round(tensor.numel() * share), 1)).values
            weights[name] = tensor * (tensor.abs() > least)
            zeros, total = zeros + int((weights[name] == 0).sum()), total + tensor.numel()
    made = _built_again(part)
    made.load_state_dict(weights)
    return made, f"{zeros / max(total, 1):.0%} of the weights set to 0"


def finetune(
    pruned: VoiceModel, original: VoiceModel, recordings: Sequence[Tensor], *, steps: int, seed: int = 0,
    progress: bool = True,
) -> None:  # fmt: skip
    """Train the pruned parts to output what the original's do (distillation), in place; weights that are 0 stay 0.

    The content encoder's loss is the mean squared difference of the contents, the vocoder's the distance of its audio
    in mel spectra of several resolutions (:class:`MultiResolutionMelLoss`) and ten times its mean absolute difference.
    There is no noise for the recordings' privacy, so a record of it is dropped.

    Args:
        pruned: what :func:`prune` changed.
        original: the model before.
        recordings: (N,) at the model's rate, of any speakers; crops of 1.28 s are drawn from them.
        steps: of each part.
        seed: of the crops.
        progress: whether to show a bar, if the error output is a terminal.

    Raises:
        ConfigurationError: if no recording is as long as a crop.
        NotFiniteError: if a loss is not finite.
    """
    parts = [role for role in TRAINED if getattr(pruned, role) is not None
             and getattr(pruned, role) is not getattr(original, role)]  # fmt: skip
    with progress_bar("fine-tuning", steps * len(parts), shown=progress) as advance:
        for role in parts:
            crops = _crops(original, recordings, seed)
            _distil(role, getattr(pruned, role), getattr(original, role), crops, steps, advance)
    pruned.privacy = None
    pruned.eval().requires_grad_(False)
    original.eval()
    for voice in (pruned, original):
        fuse_parts(voice)  # training undid it


def _crops(voice: VoiceModel, recordings: Sequence[Tensor], seed: int) -> Iterator[Tensor]:
    """Batches of features (B, F, T), without end."""
    length = round(CROP_SECONDS * voice.spec.frame_rate) * voice.spec.hop_length
    long = [audio for audio in recordings if len(audio) >= length]
    if not long:
        raise ConfigurationError(f"no recording lasts {CROP_SECONDS:g} s, which fine-tuning needs; give longer ones")
    rng = np.random.default_rng(seed)
    shares = np.array([len(audio) for audio in long], float)
    while True:
        chosen = rng.choice(len(long), BATCH, p=shares / shares.sum())
        places = [int(rng.integers(len(long[index]) - length + 1)) for index in chosen]
        audio = torch.stack([long[index][place : place + length] for index, place in zip(chosen, places, strict=True)])
        with torch.no_grad():
            features = voice.feature_extractor(audio)
        yield features


def _distil(
    role: str, part: Any, original: Any, crops: Iterator[Tensor], steps: int, advance: Callable[[int], None]
) -> None:
    mel = MultiResolutionMelLoss(original.spec.sample_rate) if role == "vocoder" else None
    part.train().requires_grad_(True)
    original.train()  # both without what is only for inference
    masks = {name: weight != 0 for name, weight in part.named_parameters() if weight.ndim > 1 and (weight == 0).any()}
    optimizer = torch.optim.AdamW(part.parameters(), lr=LEARNING_RATE, betas=(0.8, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    for _ in range(steps):
        features = next(crops)
        with torch.no_grad():
            wanted = original(features)
        made = part(features)
        loss = (
            (made - wanted).square().mean()
            if mel is None
            else mel(made, wanted).mean() + 10 * (made - wanted).abs().mean()
        )
        if not bool(loss.isfinite()):
            raise NotFiniteError(f"the fine-tuning of the {role} diverged; prune less")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for name, weight in part.named_parameters():
                if name in masks:
                    weight.mul_(masks[name])
        advance(1)
