"""A folder of ``lvc export`` as a live converter, computed by lvc-runtime. Imports no torch."""

from dataclasses import replace
from typing import Any

from lightning_voiceclone.inference.live.converters import ModelConverter, Samples
from lightning_voiceclone.inference.onnx_engine import OnnxModel


class OnnxConverter(ModelConverter):
    """An exported model as a live converter.

    Args:
        model: the model.
        speaker: of :meth:`speaker`; None for the one to whom the model was adapted.
        options: pitch_shift and guidance, as of ``RenderOptions``.

    Raises:
        LVCError: if a part needs the whole recording, there is no speaker, or an option is out of range.
    """

    def __init__(self, model: OnnxModel, speaker: Any = None, **options: Any) -> None:
        super().__init__()
        self.model, self.sample_rate = model, model.runtime.sample_rate
        self.latency = model.runtime.latency
        self._stream = model.stream(speaker, **options)

    def speaker(self, *paths: str) -> Any:
        """As of :class:`ModelConverter`."""
        return self.model.speaker(*paths)

    def change(self, speaker: Any = None, **options: Any) -> None:
        """As of :class:`ModelConverter`."""
        with self.model.explained():
            if speaker is not None:
                checked = self.model.runtime.parts.checked(speaker, "the speaker")
                self._changes.append(lambda: setattr(self._stream, "speaker", checked))
            if options:
                replace(self._stream.options, **options).of(self.model.runtime.parts)
                self._changes.append(lambda: setattr(self._stream, "options", replace(self._stream.options, **options)))

    def _converted(self, samples: Samples) -> Samples:
        with self.model.explained():
            made: Samples = self._stream.push(samples)
            return made

    def _waits(self) -> tuple[int, list[tuple[int, int]]]:
        return self.model.runtime.parts.hop, self._stream.waits

    def _restart(self, *, forget: bool) -> None:
        self._stream.restart(forget=forget)
