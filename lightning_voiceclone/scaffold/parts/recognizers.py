"""A speech recogniser, for word error rates."""

from torch import Tensor

from lightning_voiceclone.core.interfaces import MetricSource, Recognizer


class ExampleRecognizer(Recognizer):
    """Answers "yes" to anything louder than silence. Load your model in ``__init__``, and import its package there."""

    def __init__(self) -> None:
        super().__init__()
        self.source = MetricSource("ExampleRecognizer", "0.1.0")  # with sha256= of the weights, where there are some

    def transcribe(self, audio: Tensor, sample_rate: int) -> str:
        """The words of audio (N,)."""
        return "yes" if audio.abs().max() > 1e-3 else ""
