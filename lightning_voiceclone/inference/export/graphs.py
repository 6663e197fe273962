"""The parts of a model as ONNX graphs of one row, with lengths left open."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import ContentEncoder, Generator, SpeakerEncoder
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.optional import need
from lightning_voiceclone.utils.torch_internals import open_to_one
from lightning_voiceclone.voice.model import VoiceModel

FRAMES, MORE = 42, 44  # exported at the first, with what differs from the second left open
STATE, NEXT = "state.", "next."  # before the names of a state's inputs and outputs
ENCODED = "reference."  # before the names of what a generator makes of the reference
FIELDS = ("content", "f0", "voicing", "energy", "speaker", "reference_frames", "reference_content")


@dataclass(frozen=True)
class Graph:
    """A part to export.

    Args:
        name: of the file, without its suffix.
        part: whose claim counts, and which errors name.
        module: from arrays to arrays.
        given: the module's arguments, for a number of frames.
        inputs: names of the arguments.
        outputs: names of what it gives.
    """

    name: str
    part: Part
    module: nn.Module
    given: Callable[[int], tuple[Tensor, ...]]
    inputs: Sequence[str]
    outputs: Sequence[str]

    def check(self) -> None:
        """Refuse a part that does not claim to be exportable: call it before work that takes long.

        Raises:
            ConfigurationError: names the part.
        """
        if "exportable" not in self.part.capabilities:
            raise ConfigurationError(
                f"the {self.name}, {type(self.part).__name__}, cannot be exported: it does not claim to be exportable;"
                " `lvc plugins --claims` lists the parts that do"
            )

    @torch.no_grad()
    def write(self, path: Path) -> None:
        """Write the graph to a file.

        Raises:
            ConfigurationError: if the part cannot be exported; names it and says why.
            PluginError: if onnx or onnxscript is not installed.
        """
        need("onnxscript", "onnx")
        lengths = torch.export.AdditionalInputs()  # what differs between them and the arguments is left open
        lengths.add(self.given(MORE))
        try:
            with _quiet(), open_to_one():
                program = torch.export.export(self.module, self.given(FRAMES), dynamic_shapes=lengths)
                made = torch.onnx.export(
                    program, dynamo=True, input_names=self.inputs, output_names=self.outputs, verbose=False
                )
        except Exception as error:  # of torch's many kinds, none of which a user can tell apart
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(
                f"the {self.name}, {type(self.part).__name__}, cannot be exported: {type(error).__name__}: {reason}"
            ) from error
        assert made is not None
        made.save(path, external_data=False)


def graphs_of(voice: VoiceModel) -> list[Graph]:
    """The graphs of a model's parts; two of one with a state that waits for frames: for chunks and for the last one."""
    made: list[Graph] = []
    if voice.content_encoder is not None:
        made += _content(voice, voice.content_encoder)
    if voice.speaker_encoder is not None:
        encoder = voice.speaker_encoder
        made.append(Graph("speaker_encoder", encoder, _encoder(voice, encoder), _encoder_input(voice, encoder), ["x"],
                          ["speaker"]))  # fmt: skip
    return [*made, *_generator(voice), *_vocoder(voice)]


def state_of(part: Part | None) -> State:
    """A part's state before the first chunk of one row; empty for one without."""
    return {} if part is None else part.init_state(1) or {}


def _content(voice: VoiceModel, encoder: ContentEncoder) -> list[Graph]:
    given = _encoder_input(voice, encoder)
    if not state_of(encoder):
        return [Graph("content_encoder", encoder, _encoder(voice, encoder), given, ["x"], ["content"])]

    def chunk(x: Tensor, state: State, ahead: int) -> tuple[Tensor, State]:
        return encoder.forward_chunk(_prepared(voice, encoder, x), state, ahead)

    return _chunks("content_encoder", encoder, chunk, given, ["x"], "content", voice.normalizer)


def _generator(voice: VoiceModel) -> list[Graph]:
    needs = voice.generator.needs
    names = [name for name in FIELDS if name in needs]
    widths = {"content": getattr(voice.content_encoder, "channels", 0), "features": voice.spec.channels,
              "speaker": getattr(voice.speaker_encoder, "channels", 0)}  # fmt: skip

    def given(frames: int) -> tuple[Tensor, ...]:
        tracks = {name: torch.rand(1, frames) + 1 for name in ("f0", "voicing", "energy")}
        reference = {
            "content": torch.randn(1, widths["content"], frames),
            "speaker": torch.randn(1, widths["speaker"]),
            "reference_frames": torch.randn(1, frames + 11, widths["features"]),
            "reference_content": torch.randn(1, widths["content"], frames + 11),
        }
        return tuple((tracks | reference)[name] for name in names)

    def condition(fields: dict[str, Tensor]) -> Condition:
        like = next(value for name, value in fields.items() if name not in ("speaker", "reference_frames"))
        lengths = {"lengths": torch.full((1,), like.shape[-1])}
        if "reference_frames" in fields:
            lengths["reference_lengths"] = torch.full((1,), fields["reference_frames"].shape[1])
        return Condition(**fields, **lengths)

    generator = voice.generator
    if not state_of(generator):
        module = _Of(generator, lambda *values: generator(condition(dict(zip(names, values, strict=True)))))
        return [Graph("generator", generator, module, given, names, ["features"])]
    return _streamed_generator(generator, names, given, condition)


def _streamed_generator(
    generator: Generator, names: list[str], given: Callable, condition: Callable[..., Condition]
) -> list[Graph]:
    """Graphs of a generator with a state: one of the reference alone, if it encodes that, and those of chunks."""
    reference = [name for name in names if name.startswith("reference_")]
    encoded = list(generator.encode_reference(condition(dict(zip(names, given(FRAMES), strict=True)))))
    own = [name for name in names if name not in reference] if encoded else names

    def of_reference(frames: int) -> tuple[Tensor, ...]:
        fields = dict(zip(names, given(frames), strict=True))
        return tuple(fields[name] for name in reference)

    def encode(*values: Tensor) -> tuple[Tensor, ...]:
        return tuple(generator.encode_reference(condition(dict(zip(reference, values, strict=True)))).values())

    def of_chunk(frames: int) -> tuple[Tensor, ...]:
        fields = dict(zip(names, given(frames), strict=True))
        known = generator.encode_reference(condition(fields)) if encoded else {}
        return (*(fields[name] for name in own), *(known[name] for name in encoded))

    def chunk(*values: Tensor, state: State, ahead: int) -> tuple[Tensor, State]:
        known = dict(zip(encoded, values[len(own) :], strict=True))
        return generator.forward_chunk(condition(dict(zip(own, values[: len(own)], strict=True))), state | known, ahead)

    inputs = [*own, *(ENCODED + name for name in encoded)]
    made = _chunks("generator", generator, chunk, of_chunk, inputs, "features")
    if not encoded:
        return made
    first = Graph("generator.reference", generator, _Of(generator, encode), of_reference, reference, encoded)
    return [first, *made]


def _vocoder(voice: VoiceModel) -> list[Graph]:
    vocoder, normalizer = voice.vocoder, voice.normalizer
    beside = sorted(vocoder.needs)  # f0, or nothing

    def given(frames: int) -> tuple[Tensor, ...]:
        return (torch.randn(1, voice.spec.channels, frames), *(100 + torch.rand(1, frames) for _ in beside))

    def whole(features: Tensor, *values: Tensor) -> Tensor:
        return cast(Tensor, vocoder(normalizer.inverse(features), **dict(zip(beside, values, strict=True))))

    inputs = ["features", *beside]
    if not state_of(vocoder):
        return [Graph("vocoder", vocoder, _Of(vocoder, whole, normalizer), given, inputs, ["samples"])]

    def chunk(features: Tensor, *values: Tensor, state: State, ahead: int) -> tuple[Tensor, State]:
        known = dict(zip(beside, values, strict=True))
        return vocoder.forward_chunk(normalizer.inverse(features), state, ahead, **known)

    return _chunks("vocoder", vocoder, chunk, given, inputs, "samples", normalizer)


def _chunks(
    name: str, part: Part, chunk: Callable, given: Callable, inputs: list[str], output: str, *more: nn.Module
) -> list[Graph]:
    """A graph for chunks with all of the context after them, and one for the recording's end, with none."""
    state = state_of(part)
    keys = list(state)

    def module(ahead: int) -> nn.Module:
        def forward(*values: Tensor) -> tuple[Tensor, ...]:
            own = dict(zip(keys, values[len(inputs) :], strict=True))
            made, after = chunk(*values[: len(inputs)], state=own, ahead=ahead)
            return (made, *(after[key].clone() for key in keys))

        return _Of(part, forward, *more)

    def with_state(frames: int) -> tuple[Tensor, ...]:
        return (*given(frames), *(value.clone() for value in state.values()))

    assert part.context is not None
    states, following = ([prefix + key for key in keys] for prefix in (STATE, NEXT))
    ahead = int(part.context.right)
    variants = {name: ahead, f"{name}.last": 0} if ahead else {name: 0}
    return [Graph(variant, part, module(length), with_state, [*inputs, *states], [output, *following])
            for variant, length in variants.items()]  # fmt: skip


class _Of(nn.Module):
    """A function of arrays, as a module that owns the weights it uses."""

    def __init__(self, part: nn.Module, function: Callable, *more: nn.Module) -> None:
        super().__init__()
        self.part, self.more = part, nn.ModuleList(more)
        self._function = function

    def forward(self, *values: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self._function(*values)


def _encoder(voice: VoiceModel, encoder: ContentEncoder | SpeakerEncoder) -> nn.Module:
    return _Of(encoder, lambda x: encoder(_prepared(voice, encoder, x)), voice.normalizer)


def _prepared(voice: VoiceModel, encoder: ContentEncoder | SpeakerEncoder, x: Tensor) -> Tensor:
    """The encoder's input, of normalised features or audio."""
    return x if encoder.takes == "audio" or encoder.normalized else voice.normalizer.inverse(x)


def _encoder_input(voice: VoiceModel, encoder: ContentEncoder | SpeakerEncoder) -> Callable[[int], tuple[Tensor, ...]]:
    def given(frames: int) -> tuple[Tensor, ...]:
        if encoder.takes == "audio":
            return (torch.randn(1, frames * voice.spec.hop_length) / 10,)
        return (torch.randn(1, voice.spec.channels, frames),)

    return given


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remarks on its own exporter."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
