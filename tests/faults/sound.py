"""Faults of feature extractors, vocoders and transforms."""

import random
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import nn

from faults import GOOD, fault
from lightning_voiceclone.core.interfaces import AudioTransform, FeatureTransform, Vocoder
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.features.framing import at_least_single, frame
from lightning_voiceclone.scaffold.parts.audio_transforms import ExampleAudioTransform
from lightning_voiceclone.scaffold.parts.feature_extractors import ExampleFeatures
from lightning_voiceclone.scaffold.parts.feature_transforms import ExampleFeatureTransform
from lightning_voiceclone.vocoders.unframe import Unframe

# Feature extractors ---------------------------------------------------------------------------------------------------


class GoodFeatures(ExampleFeatures):
    """Of a kind of its own, and small."""

    capabilities = frozenset()

    def __init__(self, *, n_fft: int = 256):
        super().__init__(n_fft=n_fft, hop_length=128)
        self.spec = replace(self.spec, kind="own")


GOOD[GoodFeatures] = {}


@fault("frames are centred", "ms from it")
class LateFeatures(GoodFeatures):
    """Frame t is what frame t - 6 should be."""

    def __init__(self):
        super().__init__()
        self.context = Context(8, 2)

    def forward(self, audio):
        super().forward(audio)
        return super().forward(torch.cat([audio[:, :1].repeat(1, 6 * 128), audio], 1)[:, : audio.shape[1]])


@fault("batch equals one by one", "row 0 of a batch to be as it is alone")
class MixingFeatures(GoodFeatures):
    """Less the mean over the batch."""

    def forward(self, audio):
        features = super().forward(audio)
        return features - 0.1 * features.mean(0, keepdim=True)


@fault("double precision", "an output in double precision")
class SingleFeatures(GoodFeatures):
    """Single precision, always."""

    def forward(self, audio):
        features = super().forward(audio)
        return features.to(torch.float16 if audio.dtype == torch.float16 else torch.float32)


@fault("half precision", "finite numbers in half precision")
class HalfFeatures(GoodFeatures):
    """A square that half precision cannot hold."""

    def forward(self, audio):
        return super().forward(audio) + 0 * (300 * (1 + audio.abs().amax(1)))[:, None, None] ** 2


@fault("one hop and less than a window", "features of 128 samples")
class LongFeatures(GoodFeatures):
    """Nothing of what is shorter than a window."""

    def forward(self, audio):
        features = super().forward(audio)
        return features if audio.shape[1] >= 256 else features[..., :0]


@fault("audio that cannot be framed is refused", "of audio with one axis")
class ObligingFeatures(GoodFeatures):
    """Takes one axis for a batch of one."""

    def forward(self, audio):
        return super().forward(audio[None] if audio.ndim == 1 else audio)


@fault("audio that cannot be framed is refused", "got IndexError")
class CrashingFeatures(GoodFeatures):
    """Checks nothing."""

    def forward(self, audio):
        frames = frame(audio, 256, 128)
        return self._of_frames(at_least_single(frames)).transpose(1, 2).to(audio.dtype)


@fault("kind is its own or that of the same features", "that of MelSpectrogram, which has no such spec")
class BorrowedKind(GoodFeatures):
    """Says that it computes mel bands."""

    def __init__(self):
        super().__init__()
        self.spec = replace(self.spec, kind="mel")


@fault("kind is its own or that of the same features", "those of STFT")
class OtherNumbers(ExampleFeatures):
    """Says that it computes powers, and computes magnitudes."""

    def __init__(self):
        super().__init__(n_fft=256)
        self.spec = replace(self.spec, power=2.0)


@fault("every argument is in the spec", "gain=2.0 to be in the spec")
class UnspecifiedFeatures(GoodFeatures):
    """A gain that the spec does not carry."""

    def __init__(self, *, gain: float = 1.0):
        super().__init__()
        self.gain = gain

    def forward(self, audio):
        return self.gain * super().forward(audio)


@fault("a call leaves no trace in the next", "outputs that differ", alone=False)
class RunningFeatures(GoodFeatures):
    """Less the level of the call before."""

    level = 0.0

    def forward(self, audio):
        features = super().forward(audio) - 0.01 * self.level
        self.level = float(audio[0, :9].sum())
        return features


@fault("input is untouched", "the input as it was", alone=False)
class ScalingFeatures(GoodFeatures):
    """Scales its input in place."""

    def forward(self, audio):
        return super().forward(audio.mul_(0.99) if audio.is_floating_point() else audio)


@fault("claim differentiable", "an output without one")
class DetachedFeatures(GoodFeatures):
    """No gradient, against its claim."""

    capabilities = frozenset({"differentiable"})

    def forward(self, audio):
        return super().forward(audio).detach()


@fault("claim deterministic", "whatever torch's seed", alone=False)
class DitheredFeatures(GoodFeatures):
    """Random in the last digits, against its claim."""

    capabilities = frozenset({"deterministic"})

    def forward(self, audio):
        return super().forward(audio) * (1 + 1e-6 * torch.rand(1, dtype=audio.dtype))


@fault("random state is torchs", "the same torch seed", alone=False)
class NumpyFeatures(GoodFeatures):
    """Dither by NumPy's random state."""

    def forward(self, audio):
        return super().forward(audio) * (1 + 1e-6 * np.random.rand())


@fault("global state is untouched", "a seed of its own")
class SeedingFeatures(GoodFeatures):
    """Sets torch's seed."""

    def forward(self, audio):
        torch.manual_seed(0)
        return super().forward(audio)


@fault("nothing to train", "no weights to train; got ['scale']")
class TrainedFeatures(GoodFeatures):
    """A weight."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, audio):
        return super().forward(audio) * self.scale


@fault("context is honest", "the declared context of 0 and 0 frames")
class NarrowFeatures(GoodFeatures):
    """A context that is too short."""

    def __init__(self):
        super().__init__()
        self.context = Context(0, 0)


@fault("streamable", "numbers that differ by")
class WideFeatures(GoodFeatures):
    """A context that is too short, and a claim."""

    capabilities = frozenset({"streamable"})

    def __init__(self):
        super().__init__()
        self.context = Context(1, 1)

    def forward(self, audio):
        features = super().forward(audio)
        return features - 1e-5 * features[:, :1].mean(-1, keepdim=True)  # within the tolerance of the context's check


@fault("silence is finite", "finite features of silence; got others")
class InfiniteFeatures(GoodFeatures):
    """Infinite in silence."""

    def forward(self, audio):
        return super().forward(audio) + 0 * audio.square().mean(1).log()[:, None, None]


@fault("shape", "features of 2560 samples of the shape", alone=False)
class FrameMore(GoodFeatures):
    """A frame too many."""

    def forward(self, audio):
        features = super().forward(audio)
        return torch.cat([features, features[..., -1:]], -1) if features.shape[-1] > 3 else features


@fault("channel frequencies", "to be loudest in channel")
class MistunedFeatures(GoodFeatures):
    """Frequencies of another sample rate."""

    def channel_frequencies(self):
        return torch.arange(129) * 4000 / 128


@dataclass(frozen=True)
class TaperedSpec(AudioSpec):
    """A spec with a field of its own, which no checkpoint can read."""

    taper: float = 1.0


@fault("spec survives a checkpoint", "SpecMismatchError: the spec has fields", alone=False)
class TaperedFeatures(GoodFeatures):
    """A setting in a field of its own, instead of in the spec's settings."""

    def __init__(self):
        super().__init__()
        self.spec = TaperedSpec(**{field.name: getattr(self.spec, field.name) for field in fields(self.spec)})


@fault("round trip", "the same features after a checkpoint")
class DrawnWindow(GoodFeatures):
    """A window that is drawn when it is made, and stands in no checkpoint."""

    def __init__(self):
        super().__init__()
        self.window = self.window * (1 + 1e-3 * torch.rand(256))


# Vocoders: of waveform features, which need no training ---------------------------------------------------------------


class GoodVocoder(Vocoder):
    """Waveform features put together again, clipped; claims nothing."""

    def __init__(self, spec):
        super().__init__()
        Unframe(spec)
        self.spec = spec

    def forward(self, features):
        self.check(features)
        return self.sound(features).clamp(-1, 1)

    def sound(self, features):
        return features.transpose(1, 2).flatten(1)


GOOD[GoodVocoder] = {}


@fault("length and range", "samples in [-1, 1]")
class LoudVocoder(GoodVocoder):
    """Twice as loud, not clipped."""

    def forward(self, features):
        self.check(features)
        return 1.3 * self.sound(features)


@fault("timing is kept", "+50 ms from it", alone=False)
class LateVocoder(GoodVocoder):
    """50 ms late."""

    def sound(self, features):
        audio = super().sound(features)
        return torch.cat([torch.zeros_like(audio[:, :800]), audio], 1)[:, : audio.shape[1]]


@fault("rows are apart", "the first row to be the same whatever the second is")
class MixingVocoder(GoodVocoder):
    """Crosstalk of rows; claims nothing."""

    def sound(self, features):
        return super().sound(features - 0.01 * features.mean(0, keepdim=True))


@fault("random state is torchs", "the same torch seed", alone=False)
class NumpyVocoder(GoodVocoder):
    """Dither by NumPy's random state; claims nothing."""

    def sound(self, features):
        audio = super().sound(features)
        return audio * (1 + 1e-5 * np.random.rand())


@fault("input is untouched", "the input as it was", alone=False)
class OverwritingVocoder(GoodVocoder):
    """Clips its input in place; claims nothing."""

    def forward(self, features):
        self.check(features)
        return features.mul_(0.9).transpose(1, 2).flatten(1)


@fault("double precision", "an output in double precision")
class SingleVocoder(GoodVocoder):
    """Single precision, always."""

    def sound(self, features):
        return super().sound(features).float()


@fault("dtype is that of the features", "float32 samples of float32 features; got torch.float64")
class DoubleVocoder(GoodVocoder):
    """Double precision, always."""

    def sound(self, features):
        return super().sound(features).double()


@fault("copy synthesis", "audio with the features it was made from", alone=False)
class BackwardsVocoder(GoodVocoder):
    """Each frame's samples backwards: in range, at its time, of the right length."""

    def sound(self, features):
        return super().sound(features.flip(1))


@fault("a call leaves no trace in the next", "outputs that differ")
class LingeringVocoder(GoodVocoder):
    """Begins with the last sample of the call before."""

    last = 0.0

    def sound(self, features):
        audio = super().sound(features)
        audio = torch.cat([audio[:, :1] + 1e-5 * self.last, audio[:, 1:]], 1)
        self.last = float(features[0, -7:, -1].abs().sum())
        return audio


@fault("bad features are refused", "a SpecMismatchError of one line", alone=False)
class UncheckedVocoder(GoodVocoder):
    """Takes anything."""

    def forward(self, features):
        return self.sound(features).clamp(-1, 1)


@fault("f0", "another sound of another f0; got the same")
class DeafVocoder(GoodVocoder):
    """Takes f0, and does nothing with it."""

    needs = frozenset({"f0"})

    def forward(self, features, f0=None):
        return super().forward(features)


@fault("f0", "nothing else beside the features than f0; got ['energy']")
class GreedyVocoder(GoodVocoder):
    """Asks for what no model gives."""

    needs = frozenset({"energy"})


@fault("claim deterministic", "whatever torch's seed", alone=False)
class RandomVocoder(GoodVocoder):
    """Random, against its claim."""

    capabilities = frozenset({"deterministic"})

    def sound(self, features):
        return super().sound(features) * (1 + 1e-6 * torch.rand(()))


@fault("claim differentiable", "an output without one")
class DetachedVocoder(GoodVocoder):
    """No gradient, against its claim."""

    capabilities = frozenset({"differentiable"})

    def sound(self, features):
        return super().sound(features).detach()


@fault("streamable", "a declared context, or a state")
class UnboundedVocoder(GoodVocoder):
    """Claims to be streamable, of an infinite context."""

    capabilities = frozenset({"streamable"})


@fault("context is honest", "changes [-1] frames away")
class NarrowVocoder(GoodVocoder):
    """A context that is too short; claims nothing."""

    context = Context(0, 0)

    def sound(self, features):
        following = torch.cat([features[..., 1:], features[..., -1:]], -1)
        return super().sound(features + 0.01 * following)


@fault("preparing changes rounding alone", "the same audio after fuse()")
class FusedVocoder(GoodVocoder):
    """Another gain when it is prepared."""

    capabilities = frozenset({"deterministic"})
    gain = 1.0

    def fuse(self):
        self.gain = 0.9

    def sound(self, features):
        return self.gain * super().sound(features)


@fault("likelihood", "one value a row of the shape (2,)")
class LikelyVocoder(GoodVocoder):
    """One likelihood of all rows."""

    capabilities = frozenset({"likelihood"})

    def likelihood(self, features, audio):
        return features.square().mean()


@fault("silence is quiet", "silence of silence (below 0.01); got 0.05")
class HummingVocoder(GoodVocoder):
    """A constant in silence."""

    def sound(self, features):
        audio = super().sound(features)
        return audio + 0.05 * (audio.abs().amax(1, keepdim=True) == 0)


@fault("global state is untouched", "default dtype torch.float64", alone=False)
class GlobalVocoder(GoodVocoder):
    """Changes torch's default precision."""

    def sound(self, features):
        torch.set_default_dtype(torch.float64)
        return super().sound(features)


@fault("claims are checked", "nothing checks others; got ['fast']")
class BoastingVocoder(GoodVocoder):
    """A claim that nobody knows."""

    capabilities = frozenset({"fast"})


@fault("spec is the extractors", "hop_length is", alone=False)
class OtherHopVocoder(GoodVocoder):
    """Says that it was made for another hop."""

    def __init__(self, spec):
        super().__init__(spec)
        self.spec = replace(spec, hop_length=2 * spec.hop_length)


# Audio transforms -----------------------------------------------------------------------------------------------------


GOOD[ExampleAudioTransform] = {}


@fault("input is untouched", "the input as it was", alone=False)
class InPlaceGain(ExampleAudioTransform):
    """Scales in place."""

    def forward(self, audio, sample_rate):
        return audio.mul_(torch.rand(len(audio), 1).to(audio))


@fault("random state is torchs", "the same torch seed", alone=False)
class NumpyGain(ExampleAudioTransform):
    """Drawn from Python's random state."""

    def forward(self, audio, sample_rate):
        return super().forward(audio, sample_rate) * (1 + 1e-3 * random.random())


@fault("shape", "audio of the shape (3, 8000)", alone=False)
class ShorteningGain(ExampleAudioTransform):
    """Loses a sample."""

    def forward(self, audio, sample_rate):
        return super().forward(audio, sample_rate)[:, 1:]


@fault("rows are drawn anew", "all alike")
class CommonGain(ExampleAudioTransform):
    """One draw for all rows."""

    def forward(self, audio, sample_rate):
        return audio * torch.rand(1, 1).to(audio)


@fault("rows are apart", "the first row to be the same whatever the second is")
class RelativeGain(ExampleAudioTransform):
    """Relative to the loudest row."""

    def forward(self, audio, sample_rate):
        return super().forward(audio, sample_rate) / audio.square().mean().sqrt().clamp(min=1e-3)


@fault("keeps timing if it says so", "+50 ms from it", alone=False)
class LateGain(ExampleAudioTransform):
    """50 ms late, and says that it keeps the timing."""

    def forward(self, audio, sample_rate):
        late = torch.cat([torch.zeros_like(audio[:, : sample_rate // 20]), audio], 1)[:, : audio.shape[1]]
        return super().forward(late, sample_rate)


@fault("silence is finite", "finite audio of silence; got others")
class UnitGain(ExampleAudioTransform):
    """Divides by the level."""

    def forward(self, audio, sample_rate):
        level = audio.square().mean(1, keepdim=True).sqrt()
        return super().forward(audio, sample_rate) / level


@fault("double precision", "an output in double precision")
class SingleGain(ExampleAudioTransform):
    """Single precision, always."""

    def forward(self, audio, sample_rate):
        return super().forward(audio, sample_rate).float()


@fault("stage timing and voice are declared", 'the stage "prepare" or "training"', alone=False)
class UnstagedGain(AudioTransform):
    """A stage that does not exist."""

    stage = "train"

    def forward(self, audio, sample_rate):
        return audio.clone()


# Feature transforms ---------------------------------------------------------------------------------------------------


GOOD[ExampleFeatureTransform] = {}


@fault("input is untouched", "the input as it was", alone=False)
class InPlaceNoise(ExampleFeatureTransform):
    """Adds in place."""

    def forward(self, features):
        return features.add_(torch.rand(len(features), 1, 1).to(features))


@fault("random state is torchs", "the same torch seed", alone=False)
class NumpyNoise(ExampleFeatureTransform):
    """Drawn from NumPy's random state."""

    def forward(self, features):
        return super().forward(features) + np.random.rand()


@fault("rows are drawn anew", "all alike")
class CommonNoise(FeatureTransform):
    """One draw for all rows."""

    def forward(self, features):
        return features + torch.rand(1, 1, 1).to(features)


@fault("rows are apart", "the first row to be the same whatever the second is")
class RelativeNoise(ExampleFeatureTransform):
    """Relative to the batch's deviation."""

    def forward(self, features):
        return super().forward(features) * (1 + features.square().mean())


@fault("shape", "features of the shape (1, 13, 1)")
class TrimmingNoise(ExampleFeatureTransform):
    """No frame of a single one."""

    def forward(self, features):
        changed = super().forward(features)
        return changed if features.shape[-1] > 1 else changed[..., :0]


@fault("double precision", "an output in double precision")
class SingleNoise(ExampleFeatureTransform):
    """Single precision, always."""

    def forward(self, features):
        return super().forward(features).float()
