"""WaveNet: every sample drawn from a distribution that depends on those before it."""

from collections.abc import Iterable
from math import inf, log

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context, State
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.normalizer import Normalizer
from lvc_wavenet.generation import advance, first_state, in_double
from lvc_wavenet.network import CLASSES, TAPS, Network, before

MOST_CYCLE_LAYERS = 16  # of dilations up to 32,768 samples


class WaveNet(Vocoder):
    """Audio (B, T * hop), one sample after the other, each drawn given those before it and the features.

    Van den Oord et al. 2016 ("WaveNet: a generative model for raw audio"): dilated causal convolutions with gates,
    residual and skip connections, and a softmax over the 256 classes of the mu-law. Trained by likelihood, with
    ``weights: {likelihood: 1}`` and neither a discriminator nor other losses. Features are normalised by channel with
    the statistics of the training recordings.

    Generation is slow. It draws from a random generator of its own that begins anew with ``seed`` at every call, the
    same for all rows, and computes in double precision on the CPU: the same features always give the same samples,
    alone or in a batch. No gradient flows back to the features. Streamed, it keeps its state from one chunk to the next
    (:meth:`forward_chunk`) and looks 5 frames ahead.

    Args:
        spec: of the features.
        channels: of a layer.
        skip: channels of the way from all layers to the distribution.
        condition: channels of the two convolutions over the frames of the features.
        cycle_layers: layers of a cycle; dilations double from 1 to 2 ** (cycle_layers - 1) samples.
        cycles: repetitions of these dilations; the distribution of a sample depends on
            cycles * (2 ** cycle_layers - 1) + 1 samples before it.
        seed: of the draws.
        pretrained: a folder or checkpoint of a trained one, or none for fresh weights. Pretrained weights are frozen,
            unless ``finetune`` is set.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a setting cannot work, or the pretrained weights have other settings.
        SpecMismatchError: if the pretrained weights are for other features; names the field and both values.
    """

    capabilities = frozenset({"deterministic", "likelihood", "streamable"})
    context = Context(inf, TAPS - 1 + 1)  # two convolutions, and the next frame's middle, to which a line is drawn

    def __init__(
        self,
        spec: AudioSpec,
        *,
        channels: int = 64,
        skip: int = 128,
        condition: int = 80,
        cycle_layers: int = 10,
        cycles: int = 2,
        seed: int = 0,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        check_positive(
            "WaveNet", channels=channels, skip=skip, condition=condition, cycle_layers=cycle_layers, cycles=cycles
        )
        if cycle_layers > MOST_CYCLE_LAYERS:
            raise ConfigurationError(
                f"WaveNet: cycle_layers is {cycle_layers}, but must be at most {MOST_CYCLE_LAYERS}: dilations double"
            )
        self.spec, self.seed = spec, seed
        self.normalizer = Normalizer(spec.channels)
        dilations = cycles * [2**layer for layer in range(cycle_layers)]
        self.network = Network(spec.channels, width=channels, skip=skip, condition=condition, dilations=dilations)
        load_pretrained(self, pretrained, trainable=finetune)

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Set the mean and standard deviation of each channel, unless pretrained weights hold them."""
        if not self.normalizer.fitted:
            self.normalizer.fit(features)

    @torch.no_grad()
    def forward(self, features: Tensor) -> Tensor:
        """Audio (B, T * hop) in [-1, 1] of features (B, F, T) in the extractor's own units.

        Raises:
            SpecMismatchError: if the number of channels is not the spec's.
            ConfigurationError: if there are no frames, or values that are not finite.
        """
        return self.forward_chunk(features, self.init_state(len(features)))[0]

    def init_state(self, batch: int) -> State:
        """That of :func:`~lvc_wavenet.generation.first_state`, and ``random`` (B, n), the same in each row: the draws'.

        On the CPU.
        """
        random = torch.Generator().manual_seed(self.seed).get_state()
        return {**first_state(self.network, batch), "random": random.expand(batch, -1)}

    @torch.no_grad()
    def forward_chunk(self, x: Tensor, state: State, ahead: int = 0) -> tuple[Tensor, State]:
        """Audio (B, (T - ahead) * hop) of the features x (B, F, T) that follow the state, and the state after it.

        Raises:
            SpecMismatchError: if the number of channels is not the spec's.
            ConfigurationError: if there are no frames but those ahead, or values that are not finite.
        """
        self.check(x)
        frames = x.shape[-1] - ahead
        if ahead < 0 or frames < 1:
            raise ConfigurationError(
                f"WaveNet got {x.shape[-1]} frames of which {ahead} are ahead; give it at least one more than that"
            )
        random = torch.Generator()
        random.set_state(state["random"][0].contiguous())
        with torch.autocast(x.device.type, enabled=False), torch.inference_mode():
            draws = draw(frames * self.spec.hop_length, random)
            normalised = self.normalizer(x).cpu().double()
            classes, after = advance(in_double(self.network), normalised, self.spec.hop_length, draws, state, ahead)
            audio = to_audio(classes)
        after["random"] = random.get_state().expand(len(x), -1)
        return audio.to(x).clone(), {name: value.clone() for name, value in after.items()}

    def draws(self, samples: int) -> Tensor:
        """What decides each sample: (samples,) uniform from 0 to 1, in double precision, from ``seed`` alone."""
        return draw(samples, torch.Generator().manual_seed(self.seed))

    def likelihood(self, features: Tensor, audio: Tensor) -> Tensor:
        """Negative logarithm of the likelihood of the audio's mu-law classes, (B,) bits a sample; chance level is 8.

        Raises:
            SpecMismatchError: if the number of channels is not the spec's.
            ConfigurationError: if the audio is not (B, T * hop), or features are not finite.
        """
        self.check(features)
        expected = (len(features), features.shape[-1] * self.spec.hop_length)
        if tuple(audio.shape) != expected:
            raise ConfigurationError(
                f"WaveNet got audio {tuple(audio.shape)} for features {tuple(features.shape)}, which give"
                f" {expected}; crop both to the same frames"
            )
        classes = torchaudio.functional.mu_law_encoding(audio.clamp(-1, 1), CLASSES)
        logits = self.network(before(classes), self.network.of_frames(self.normalizer(features)))
        return F.cross_entropy(logits, classes, reduction="none").mean(1) / log(2)


def draw(samples: int, random: torch.Generator) -> Tensor:
    """(samples,) uniform from 0 to 1, in double precision; as many together as one after the other."""
    return torch.rand(samples, generator=random, dtype=torch.float64)


def to_audio(classes: Tensor) -> Tensor:
    """Samples in [-1, 1] of the mu-law's classes."""
    return torchaudio.functional.mu_law_decoding(classes, CLASSES)
