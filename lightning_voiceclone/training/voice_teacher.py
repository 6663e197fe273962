"""What a trained model makes of the same crops, as targets for a generator that is to replace its own."""

from dataclasses import replace

import torch
from torch import Tensor

from lightning_voiceclone.core.part import describe
from lightning_voiceclone.core.spec import check_join
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training.cross_speaker import CrossSpeaker
from lightning_voiceclone.training.frozen import Frozen
from lightning_voiceclone.voice.analysis import Analysis
from lightning_voiceclone.voice.guidance import extrapolate
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.prosody import move_register


class VoiceTeacher:
    """Gives the features that a model generates from a batch: of each crop, in the voice that the student is to give.

    The model sees the crops as they are, without the student's transforms and noise, and with its own encoders.
    Converted rows are guided with the model's own strength, by the crop's statistics, so that a student without
    guidance learns the guided output (Meng et al. 2023, "On distillation of guided diffusion models").

    Args:
        model: the teacher; frozen, and not part of checkpoints.
        student: the model that learns.

    Raises:
        SpecMismatchError: if the two are for different features; names the field and both values.
        ConfigurationError: if they differ in how pitch and energy are extracted, or the teacher has no content
            encoder or no speaker.
    """

    def __init__(self, model: VoiceModel, student: VoiceModel) -> None:
        check_join("the model of model.teacher", model.spec, "this model", student.spec)
        if model.content_encoder is None or not model.needs_reference:
            raise ConfigurationError(
                "the model of model.teacher converts no recordings to another speaker; name one with a content encoder"
                " and a speaker"
            )
        for name in ("pitch", "energy"):
            theirs, ours = (getattr(voice, name) for voice in (model, student))
            if theirs is not None and (ours is None or describe(theirs) != describe(ours)):
                raise ConfigurationError(
                    f"the model of model.teacher has {describe(theirs)} as {name}, and this one has"
                    f" {None if ours is None else describe(ours)}; use that of the teacher"
                )
        self._model = Frozen(model)

    @torch.no_grad()
    def features(
        self, student: VoiceModel, source: Analysis, reference: Analysis, cross_speaker: CrossSpeaker
    ) -> Tensor:
        """(B, F, T) in the student's normalised features; 0 beyond a crop's end.

        Args:
            student: whose normalised features the analyses have.
            source: the crops.
            reference: other crops of the same speakers; with f0, if any row is converted.
            cross_speaker: which rows are converted, and to whom.
        """
        teacher = self._model.on(source.features.device)
        source, reference = (_renormalized(analysis, student, teacher) for analysis in (source, reference))
        prompt = teacher.prompt_from_analysis(reference).rows(cross_speaker.index(source.features.device))
        script = move_register(teacher.script_from_analysis(source), cross_speaker.register(prompt))
        condition = teacher.condition(script, prompt)
        made = teacher.generator(condition)
        swapped = cross_speaker.swapped
        if swapped and teacher.guidance and prompt.speaker is not None:
            own = replace(condition.rows(slice(0, swapped)), speaker=teacher.embed(source.rows(slice(0, swapped))))
            rows = zip(made, teacher.generator(own), source.lengths.tolist(), strict=False)
            guided = [_guided(row, its_own, frames, teacher.guidance) for row, its_own, frames in rows]
            made = torch.cat([torch.stack(guided), made[swapped:]])
        return student.normalizer(teacher.normalizer.inverse(made)) * condition.mask(made.shape[-1])


def _guided(made: Tensor, own: Tensor, frames: int, strength: float) -> Tensor:
    """One row, extrapolated by the statistics of its real frames."""
    guided = extrapolate(made[None, :, :frames], own[None, :, :frames], strength)[0]
    return torch.cat([guided, made[:, frames:]], 1)


def _renormalized(analysis: Analysis, student: VoiceModel, teacher: VoiceModel) -> Analysis:
    features = teacher.normalizer(student.normalizer.inverse(analysis.features))
    kept = torch.arange(features.shape[-1], device=features.device) < analysis.lengths[:, None]
    return replace(analysis, features=features * kept[:, None])
