"""The vocoder for several kinds of features, one after the other, of which one is enough for the sound."""

from collections.abc import Iterable

from torch import Tensor

from lightning_voiceclone.checkpoints.part_folder import ships
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.core.registry import make_part
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError


class StackVocoder(Vocoder):
    """Audio (B, T * hop) of one part of stacked features (B, F, T), by a vocoder for that part alone.

    So a trained vocoder of mel bands speaks with features that have more beside them. Its claims, context and weights
    are the inner vocoder's. Weights that ship with a package stay referred to by hash; those of a path become its own,
    so that a model holds them and not the path.

    Args:
        spec: of the features; of the kind stack.
        vocoder: the inner one, NAME:setting=value,setting=value.
        part: which of the stack's parts it takes, from 0.

    Raises:
        SpecMismatchError: if the features are no stack, or the inner vocoder cannot take that part.
        ConfigurationError: if there is no such part.
        PluginError: if no vocoder has that name.
    """

    def __init__(self, spec: AudioSpec, *, vocoder: str = "Vocos:pretrained=default", part: int = 0):
        super().__init__()
        if spec.kind != "stack":
            raise SpecMismatchError(
                f"StackVocoder understands stacked features, but these are of the kind {spec.kind!r}; use the vocoder"
                f" itself ({vocoder.partition(':')[0]})"
            )
        if not 0 <= part < len(spec.parts):
            raise ConfigurationError(
                f"StackVocoder: part is {part}, but the features have {len(spec.parts)} parts; give 0 to"
                f" {len(spec.parts) - 1}"
            )
        self.spec, self.inner = spec, make_part("vocoders", vocoder, spec.parts[part])
        self.capabilities = self.inner.capabilities - {"likelihood"}  # type: ignore[misc]  # those of this one alone
        self.context, self.needs = self.inner.context, self.inner.needs
        pretrained = describe(self.inner)["arguments"].get("pretrained")
        if pretrained not in (None, "none") and not ships(self.inner, pretrained):
            self.inner.weights_sha256 = None
            self._made_with = ((spec,), {"vocoder": _without_pretrained(vocoder), "part": part})
        self.weights_sha256 = self.inner.weights_sha256
        begin = sum(before.channels for before in spec.parts[:part])
        self._channels = slice(begin, begin + spec.parts[part].channels)

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Give the inner vocoder its channels."""
        self.inner.fit_statistics(each[:, self._channels] for each in features)

    def forward(self, features: Tensor, f0: Tensor | None = None) -> Tensor:
        """Audio (B, T * hop) of features (B, F, T), and of f0 (B, T) where the inner vocoder takes it.

        Raises:
            SpecMismatchError: if there are not as many channels as the spec has.
            ConfigurationError: if there are no frames, or values that are not finite.
        """
        self.check(features)
        given = {} if f0 is None else {"f0": f0}
        audio: Tensor = self.inner(features[:, self._channels], **given)
        return audio

    def init_state(self, batch: int) -> State | None:
        """That of the inner vocoder."""
        return self.inner.init_state(batch)

    def forward_chunk(self, x: Tensor, state: State, ahead: int = 0, f0: Tensor | None = None) -> tuple[Tensor, State]:
        """Audio of the next chunk of stacked features, and the next state, by the inner vocoder."""
        self.check(x)
        given = {} if f0 is None else {"f0": f0}
        made: tuple[Tensor, State] = self.inner.forward_chunk(x[:, self._channels], state, ahead, **given)
        return made


def _without_pretrained(text: str) -> str:
    """NAME:setting=value,setting=value without the setting ``pretrained``."""
    name, _, settings = text.partition(":")
    kept = ",".join(setting for setting in settings.split(",") if setting.partition("=")[0] != "pretrained")
    return f"{name}:{kept}" if kept else name
