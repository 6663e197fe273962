"""Faults of encoders, generators, discriminators and adversarial losses."""

from typing import ClassVar

import numpy as np
import torch
from torch import nn

from faults import GOOD, fault
from lightning_voiceclone.core.interfaces import Dims
from lightning_voiceclone.core.masking import keep
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.scaffold.parts.adversarial_losses import ExampleAdversarialLoss
from lightning_voiceclone.scaffold.parts.content_encoders import ExampleContentEncoder
from lightning_voiceclone.scaffold.parts.discriminators import ExampleDiscriminator
from lightning_voiceclone.scaffold.parts.generators import ExampleGenerator
from lightning_voiceclone.scaffold.parts.speaker_encoders import ExampleSpeakerEncoder
from lightning_voiceclone.scaffold.parts.style_encoders import ExampleStyleEncoder
from lightning_voiceclone.scaffold.parts.text_encoders import ExampleTextEncoder

# Content encoders -----------------------------------------------------------------------------------------------------


class GoodContent(ExampleContentEncoder):
    """Small; claims nothing."""

    capabilities = frozenset()

    def __init__(self, dims, *, channels: int = 4, width: int = 8):
        super().__init__(dims, channels=channels, width=width)


GOOD[GoodContent] = {}


@fault("batch equals one by one", "row 0 of a batch to be as it is alone")
class MixingContent(GoodContent):
    """Less the first frame of all rows, on average."""

    def forward(self, x, lengths=None):
        content = super().forward(x, lengths)
        shared = content[..., :1].mean(0, keepdim=True) / 2
        return content - torch.cat([shared, 0 * content[:1, :, 1:]], -1)


@fault("padding does not leak", "whatever its padding holds", alone=False)
class ForgettingContent(GoodContent):
    """Forgets the lengths."""

    def forward(self, x, lengths=None):
        return super().forward(x)


@fault("claim deterministic", "whatever torch's seed", alone=False)
class DroppingContent(GoodContent):
    """Dropout that is never switched off, against its claim."""

    capabilities = frozenset({"deterministic"})

    def forward(self, x, lengths=None):
        return super().forward(nn.functional.dropout(x, 0.1), lengths)


@fault("claim differentiable", "a gradient of the output with respect to the input", alone=False)
class DetachedContent(GoodContent):
    """No gradient, against its claim."""

    capabilities = frozenset({"differentiable"})

    @torch.no_grad()
    def forward(self, x, lengths=None):
        return super().forward(x, lengths)


@fault("streamable", "numbers that differ by")
class ShortContent(GoodContent):
    """A claim that small far effects break."""

    capabilities = frozenset({"streamable"})

    def forward(self, x, lengths=None):
        content = super().forward(x, lengths)
        if lengths is not None:
            return content
        return content + 1e-6 * content.mean(-1, keepdim=True)  # which rounding hides in single precision


@fault("shape", "content of 2 frames of the shape", alone=False)
class HalvedContent(GoodContent):
    """Every other frame, at the full rate."""

    def forward(self, x, lengths=None):
        content = super().forward(x, lengths)
        return content[..., ::2]


@fault("double precision", "an output in double precision")
class SingleContent(GoodContent):
    """Single precision, always."""

    def forward(self, x, lengths=None):
        return super().forward(x, lengths).float()


@fault("context is honest", "by the context of 0 and 0 frames with a grid of 1; got one in")
class LateContent(GoodContent):
    """Six frames late; claims nothing."""

    def __init__(self, dims, *, channels: int = 4):
        super().__init__(dims, channels=channels)
        self.context = Context(0, 0)

    def forward(self, x, lengths=None):
        late = torch.cat([torch.zeros_like(x[..., :6]), x], -1)[..., : x.shape[-1]]
        return super().forward(late, lengths)


@fault("a copy shares nothing", "the copy's own weights in its output")
class BoundContent(GoodContent):
    """A function that keeps the original's weights, as an average of weights would find out."""

    def __init__(self, dims, *, channels: int = 4):
        super().__init__(dims, channels=channels)
        self.run = lambda x, lengths: ExampleContentEncoder.forward(self, x, lengths)

    def forward(self, x, lengths=None):
        return self.run(x, lengths)


@fault("gradients reach weights and input", "none of ['unused.weight', 'unused.bias']")
class UnusedContent(GoodContent):
    """A layer that nothing uses."""

    def __init__(self, dims, *, channels: int = 4):
        super().__init__(dims, channels=channels)
        self.unused = nn.Linear(2, 2)


@fault("no lengths means all", "without lengths the output with the whole as lengths", alone=False)
class UnaskedContent(GoodContent):
    """Another scale where no lengths are given."""

    def forward(self, x, lengths=None):
        content = super().forward(x, lengths)
        return 1.01 * content if lengths is None else content


# Speaker encoders -----------------------------------------------------------------------------------------------------


class GoodSpeaker(ExampleSpeakerEncoder):
    """Small."""

    def __init__(self, dims, *, channels: int = 4):
        super().__init__(dims, channels=channels)


GOOD[GoodSpeaker] = {}


@fault("padding does not leak", "whatever its padding holds", alone=False)
class AveragingSpeaker(GoodSpeaker):
    """Averages over the padding too."""

    def forward(self, x, lengths=None):
        return super().forward(x)


@fault("claims are checked", "nothing checks others; got ['streamable']")
class StreamableSpeaker(GoodSpeaker):
    """A claim that means nothing of an embedding."""

    capabilities = frozenset({"streamable"})


@fault("claim differentiable", "a gradient of the output with respect to the input", alone=False)
class DetachedSpeaker(GoodSpeaker):
    """No gradient to the input, against its claim."""

    capabilities = frozenset({"differentiable"})

    def forward(self, x, lengths=None):
        with torch.no_grad():
            return super().forward(x, lengths)


@fault("a call leaves no trace in the next", "outputs that differ", alone=False)
class CentredSpeaker(GoodSpeaker):
    """Less a running mean, which use goes on moving."""

    mean = 0.0

    def forward(self, x, lengths=None):
        embedding = super().forward(x, lengths)
        shifted, self.mean = embedding - self.mean, 0.1 * x.detach()[0, 0, 0]
        return shifted


@fault("one speaker is a cosine", "one_speaker between -1 and 1, or None; got 3.0")
class CertainSpeaker(GoodSpeaker):
    """A cosine of 3."""

    one_speaker = 3.0


@fault("batch equals one by one", "row 0 of a batch to be as it is alone")
class NormalisingSpeaker(GoodSpeaker):
    """Less the mean over the batch."""

    def forward(self, x, lengths=None):
        embedding = super().forward(x, lengths)
        return embedding - 0.1 * embedding.mean(0, keepdim=True)


@fault("shape", "embeddings of 1 of x of finite numbers")
class UnbiasedSpeaker(GoodSpeaker):
    """No deviation of a single frame."""

    def forward(self, x, lengths=None):
        embedding = super().forward(x, lengths)
        return embedding if x.shape[-1] > 1 else embedding / 0


# Text encoders --------------------------------------------------------------------------------------------------------


class GoodText(ExampleTextEncoder):
    """Small."""

    def __init__(self, dims, *, vocabulary: int = 20):
        super().__init__(dims, vocabulary=vocabulary)


GOOD[GoodText] = {}


def changed(script, **values):
    """The script with other fields."""
    return type(script)(**{**vars(script), **values})


@fault("padding does not leak", "the same content whatever the padding holds", alone=False)
class LeakingText(GoodText):
    """Adds the last token's values to all."""

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        script = super().forward(tokens, lengths, prompt, speed=speed, durations=durations)
        return changed(script, content=script.content + self.table(tokens)[:, -1, :, None])


@fault("a script of what it states", "no speaker: text has none of its own", alone=False)
class SpeakingText(GoodText):
    """A speaker of its own."""

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        script = super().forward(tokens, lengths, prompt, speed=speed, durations=durations)
        return changed(script, speaker=torch.ones(len(tokens), 4))


@fault("faster is shorter", "fewer frames at speed 2")
class UnhurriedText(GoodText):
    """Forgets the speed."""

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        return super().forward(tokens, lengths, prompt, durations=durations)


@fault("losses are one value a row", "a value a row, of the shape (2,)", alone=False)
class SummedText(GoodText):
    """A loss of the batch."""

    def losses(self, tokens, lengths, target, durations=None):
        return {name: loss.mean() for name, loss in super().losses(tokens, lengths, target, durations).items()}


@fault("a script of what it states", "100.0 frames a second; got 50")
class SlowText(GoodText):
    """Another frame rate than the model's."""

    def __init__(self, dims, *, vocabulary: int = 20):
        super().__init__(dims, vocabulary=vocabulary)
        self.frame_rate = 50


@fault("a script of what it states", "voicing from 0 to 1")
class LogitText(GoodText):
    """Logits of voicing."""

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        script = super().forward(tokens, lengths, prompt, speed=speed, durations=durations)
        return changed(script, voicing=3 * script.voicing - 1)


@fault("random state is torchs", "the same torch seed", alone=False)
class NumpyText(GoodText):
    """Drawn by NumPy."""

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        script = super().forward(tokens, lengths, prompt, speed=speed, durations=durations)
        return changed(script, energy=script.energy + 1e-5 * np.random.rand())


@fault("durations are those of the tokens", "padding of 0 frames", alone=False)
class PaddedText(GoodText):
    """Frames for padding too."""

    def durations(self, tokens, lengths, prompt=None):
        return super().durations(tokens, lengths, prompt) + 1


@fault("given durations count", "frames, as given")
class StubbornText(GoodText):
    """Its own durations, whatever is given."""

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        return super().forward(tokens, lengths, prompt, speed=speed)


@fault("losses with known durations", "a value a row, of the shape (2,)")
class SummedWhereKnownText(GoodText):
    """A loss of the batch where the durations are known."""

    def losses(self, tokens, lengths, target, durations=None):
        losses = super().losses(tokens, lengths, target, durations)
        return losses if durations is None else {name: loss.mean() for name, loss in losses.items()}


@fault("gradients reach weights", "a gradient of every weight; got none of ['unused.weight', 'unused.bias']")
class UnusedText(GoodText):
    """A layer that no loss uses."""

    def __init__(self, dims, *, vocabulary: int = 20):
        super().__init__(dims, vocabulary=vocabulary)
        self.unused = nn.Linear(2, 2)


@fault("deterministic in eval and after a checkpoint", "the same content again, and after a checkpoint")
class ForgetfulText(GoodText):
    """A shift that is drawn when it is made, and stands in no checkpoint."""

    def __init__(self, dims, *, vocabulary: int = 20):
        super().__init__(dims, vocabulary=vocabulary)
        self.shift = float(torch.rand(()))

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        script = super().forward(tokens, lengths, prompt, speed=speed, durations=durations)
        return changed(script, content=script.content + self.shift * script.voicing[:, None])


class StyledText(GoodText):
    """Adds a style to the content."""

    def __init__(self, dims, *, vocabulary: int = 20):
        super().__init__(dims, vocabulary=vocabulary)
        self.style_encoder = ExampleStyleEncoder(channels=dims.content)

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        script = super().forward(tokens, lengths, prompt, speed=speed, durations=durations)
        style = None if prompt is None else prompt.style
        return script if style is None else changed(script, content=script.content + self.added(style)[:, :, None])

    def added(self, style):
        """What a style (B, S) adds to the content (B, C) of each frame."""
        return style

    def losses(self, tokens, lengths, target, durations=None):
        losses = super().losses(tokens, lengths, target, durations)
        return losses if target.style is None else losses | {"style": target.style.square().sum(1)}


GOOD[StyledText] = {}


@fault("style is a condition", "other content in another style")
class StylelessText(StyledText):
    """Takes styles, and does nothing with them."""

    def added(self, style):
        return 0 * style


@fault("style is a condition", "the same of row 1 whatever the style of row 0")
class MixingStylesText(StyledText):
    """The mean style of the batch."""

    def added(self, style):
        return style + style.mean(0)


# Style encoders -------------------------------------------------------------------------------------------------------


class GoodStyle(ExampleStyleEncoder):
    """Small."""

    def __init__(self, *, channels: int = 4):
        super().__init__(channels=channels)


GOOD[GoodStyle] = {}


@fault("a vector for each row", "style vectors of the shape (3, 4)", alone=False)
class FlatStyle(GoodStyle):
    """One vector for the batch."""

    def forward(self, x):
        return super().forward(x).mean(0, keepdim=True)


@fault("a vector for each row", "other vectors of another style", alone=False)
class ConstantStyle(GoodStyle):
    """One vector for all."""

    def forward(self, x):
        return 0 * super().forward(x) + self.leave.bias


@fault("batch equals one by one", "row 0 of a batch to be as it is alone")
class MixingStyle(GoodStyle):
    """Less the mean over the batch."""

    def forward(self, x):
        vectors = super().forward(x)
        return vectors - 0.1 * vectors.mean(0, keepdim=True)


@fault("padding does not leak", "the same vectors whatever the padding holds", alone=False)
class ForgettingStyle(GoodStyle):
    """Adds the last frame of all, real or not."""

    def forward(self, x):
        return super().forward(x) + x.energy[:, -1:]


@fault("values are read", "a LVCError of one line")
class TakesAnyStyle(GoodStyle):
    """Takes any value for a style."""

    def read(self, value):
        return torch.zeros(())


# Generators -----------------------------------------------------------------------------------------------------------


class GoodGenerator(ExampleGenerator):
    """Small; claims nothing."""

    capabilities = frozenset()

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims, width=width)


GOOD[GoodGenerator] = {}


@fault("needs are complete", "which are not among its needs")
class SecretGenerator(GoodGenerator):
    """Uses references where they are, and does not say so."""

    def forward(self, condition):
        features = super().forward(condition)
        given = condition.reference_frames
        return features if given is None else features + 1e-3 * given[:, :1].transpose(1, 2)


@fault("needs are complete", "expected features from its needs", alone=False)
class NeedyGenerator(GoodGenerator):
    """Needs the energy, and does not say so."""

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims, width=width)
        self.needs = self.needs - {"energy"}


@fault("padding does not leak", "the same real frames whatever the padding holds", alone=False)
class LeakingGenerator(GoodGenerator):
    """Less the mean over the padding too."""

    def forward(self, condition):
        features = super().forward(condition)
        shared = condition.content if condition.content is not None else features
        return features + 1e-3 * shared.mean((1, 2), keepdim=True)


@fault("batch equals one by one", "row 0 of a batch to be as it is alone", alone=False)
class MixingGenerator(GoodGenerator):
    """Less the first frame of all rows, on average."""

    def forward(self, condition):
        features = super().forward(condition)
        return features - 0.1 * features[..., :1].mean(0, keepdim=True)


@fault("context is honest", "the declared context of 0 and 0 frames")
class NarrowGenerator(GoodGenerator):
    """A convolution over five frames, whose context it denies."""

    def __init__(self, dims):
        super().__init__(dims)
        self.smooth = nn.Conv1d(dims.features, dims.features, 5, padding=2)

    def forward(self, condition):
        features = super().forward(condition)
        return self.smooth(keep(features, condition.mask(features.shape[-1])))


class WideGenerator(NarrowGenerator):
    """The same with its true context."""

    context = Context(2, 2)


GOOD[WideGenerator] = {}


@fault("missing need is named", "a ConfigurationError of one line with 'content'; got no error")
class ObligingGenerator(GoodGenerator):
    """Silence for content that is missing."""

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims, width=width)
        self.content = dims.content

    def forward(self, condition):
        if condition.content is None and "content" in self.needs:
            frames = int(condition.lengths.max())
            condition = changed(condition, content=torch.zeros(len(condition.lengths), self.content, frames))
        return super().forward(condition)


@fault("other width is named", "a ConfigurationError of one line with 'content'")
class CuttingGenerator(GoodGenerator):
    """Takes the first channels of content that has too many."""

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims, width=width)
        self.content = dims.content

    def forward(self, condition):
        if condition.content is not None and "content" in self.needs:
            condition = changed(condition, content=condition.content[:, : self.content])
        return super().forward(condition)


@fault("no input at all is an error", "a ConfigurationError of one line with 'input'; got no error")
class IdleGenerator(GoodGenerator):
    """A constant, where there is no input."""

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims if dims != Dims(dims.features) else Dims(dims.features, noise=1), width=width)


@fault("gradients reach weights and inputs", "none of ['unused.weight', 'unused.bias']")
class UnusedGenerator(GoodGenerator):
    """A layer that nothing uses."""

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims, width=width)
        self.unused = nn.Linear(2, 2)


@fault("own losses are those it names", "the losses that loss_names lists, ['kl']")
class SilentGenerator(GoodGenerator):
    """Names a loss that it does not compute."""

    loss_names: ClassVar = frozenset({"kl"})


@fault("double precision", "an output in double precision")
class SingleGenerator(GoodGenerator):
    """Single precision, always."""

    def forward(self, condition):
        return super().forward(condition).float()


@fault("a call leaves no trace in the next", "outputs that differ", alone=False)
class HauntedGenerator(GoodGenerator):
    """Adds the frame with which the call before ended."""

    last = 0.0

    def forward(self, condition):
        features = super().forward(condition)
        changed, self.last = features + 1e-3 * self.last, features.detach().mean()
        return changed


@fault("a copy shares nothing", "the copy's own weights in its output")
class BoundGenerator(GoodGenerator):
    """A function that keeps the original's weights."""

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims, width=width)
        self.run = lambda condition: ExampleGenerator.forward(self, condition)

    def forward(self, condition):
        return self.run(condition)


@fault("deterministic in eval", "the same features again, out of training", alone=False)
class NoisyGenerator(GoodGenerator):
    """Noise out of training too."""

    def forward(self, condition):
        features = super().forward(condition)
        return features + 1e-7 * torch.randn_like(features)


@fault("checkpoint round trip", "", alone=False)
class UnstorableGenerator(GoodGenerator):
    """An argument that a checkpoint cannot store."""

    def __init__(self, dims, *, act=torch.relu):
        super().__init__(dims)


@fault("noise of an utterance", "expected no error; got RuntimeError")
class FrameNoiseGenerator(GoodGenerator):
    """Takes noise of frames alone."""

    def forward(self, condition):
        if condition.noise is not None and condition.noise.ndim == 2:
            raise RuntimeError("noise must have three axes")
        return super().forward(condition)


class GoodLiveGenerator(ReferenceGenerator):
    """Small; keeps a state, and encodes the reference once."""

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims, width=width, layers=2, heads=1, head_width=4, look_up=(1,), causal=True)


GOOD[GoodLiveGenerator] = {}


@fault("encoded reference", "the same features with what was encoded of the reference")
class MistakenReferenceGenerator(GoodLiveGenerator):
    """Encodes another reference than it was given."""

    def encode_reference(self, condition):
        return {name: value.flip(0) for name, value in super().encode_reference(condition).items()}


@fault("encoded reference", "values whose first axis is the batch")
class UnbatchedGenerator(GoodLiveGenerator):
    """Encodes something that has no rows."""

    def encode_reference(self, condition):
        return super().encode_reference(condition) | {"sharpness": self.attention["1"].sharpness}


# Discriminators -------------------------------------------------------------------------------------------------------


class GoodDiscriminator(ExampleDiscriminator):
    """Small."""

    def __init__(self, dims, *, width: int = 8):
        super().__init__(dims, width=width)


GOOD[GoodDiscriminator] = {}


@fault("rows are independent", "the first row of a batch to be as it is alone")
class ComparingDiscriminator(GoodDiscriminator):
    """Hidden maps less the mean over the batch, in eval mode too."""

    def forward(self, x, condition=None):
        ((hidden, logits),) = super().forward(x, condition)
        return [[hidden - 0.1 * hidden.mean(0, keepdim=True), logits]]


@fault("rows are independent", "logits that depend on the other rows, as per_row is False")
class ClaimsToCompare(GoodDiscriminator):
    """Claims to compare rows, and does not."""

    per_row = False


@fault("gradient penalty reaches weights", "gradient of the gradient penalty", alone=False)
class FlatDiscriminator(GoodDiscriminator):
    """The gradient of the input is a constant."""

    def forward(self, x, condition=None):
        ((hidden, logits),) = super().forward(x, condition)
        return [
            [hidden, logits.detach() + 0 * logits + x.mean(1, keepdim=True) + sum(w.mean() for w in self.parameters())]
        ]


@fault("without condition", "expected no error; got AttributeError", alone=False)
class ConditionalDiscriminator(GoodDiscriminator):
    """Needs a condition."""

    def forward(self, x, condition=None):
        condition.mask(1)
        return super().forward(x, condition)


@fault("speaker changes the output", "other logits for another speaker, with speaker=True")
class DeafDiscriminator(GoodDiscriminator):
    """An option without effect."""

    def __init__(self, dims, *, speaker: bool = False):
        super().__init__(dims)


@fault("shape", "maps of 2 rows for 2 rows", alone=False)
class FlatRowsDiscriminator(GoodDiscriminator):
    """One logit for the batch."""

    def forward(self, x, condition=None):
        ((hidden, logits),) = super().forward(x, condition)
        return [[hidden, logits.mean(0, keepdim=True)]]


@fault("padding does not leak", "whatever the padding of the condition holds")
class PaddedDiscriminator(GoodDiscriminator):
    """Counts padding as real or fake."""

    def forward(self, x, condition=None):
        return super().forward(x)


@fault("random state is torchs", "the same torch seed", alone=False)
class NumpyDiscriminator(GoodDiscriminator):
    """Drawn by NumPy."""

    def forward(self, x, condition=None):
        return super().forward(x * (1 + 1e-6 * np.random.rand()), condition)


@fault("claims are checked", "nothing checks others; got ['exportable']")
class ExportableDiscriminator(GoodDiscriminator):
    """A claim that no check of discriminators covers."""

    capabilities = frozenset({"exportable"})


# Adversarial losses ---------------------------------------------------------------------------------------------------


GOOD[ExampleAdversarialLoss] = {}


@fault("mean over sub discriminators", "the mean of the losses of each sub-discriminator")
class SumOfLosses(ExampleAdversarialLoss):
    """A sum instead of the mean."""

    def generator(self, fake_logits):
        return len(fake_logits) * super().generator(fake_logits)


@fault("gradients have the right sign", "the generator's loss to fall with higher logits of fake")
class WrongSign(ExampleAdversarialLoss):
    """The generator is pulled the wrong way."""

    def generator(self, fake_logits):
        return super().generator([-fake for fake in fake_logits])


@fault("finite at the ends", "finite losses at logits of")
class NaiveLogarithm(ExampleAdversarialLoss):
    """The logarithm of a sigmoid, which is 0 far out."""

    def generator(self, fake_logits):
        return torch.stack([-fake.sigmoid().log().flatten(1).mean(1) for fake in fake_logits]).mean(0)


@fault("a call leaves no trace in the next", "outputs that differ", alone=False)
class SmoothedLoss(ExampleAdversarialLoss):
    """Averaged with the call before."""

    before = 0.0

    def generator(self, fake_logits):
        loss = super().generator(fake_logits)
        smooth, self.before = loss + 0.1 * self.before, loss.detach()
        return smooth


@fault("rows are independent", "the first row's loss in a batch to be as it is alone")
class SecretlyRelative(ExampleAdversarialLoss):
    """Compares with the mean logit of the batch, and claims that rows do not couple."""

    def generator(self, fake_logits):
        return super().generator([fake - 0.5 * fake.mean() for fake in fake_logits])


class Relative(SecretlyRelative):
    """The same with its true claim."""

    per_row = False


GOOD[Relative] = {}


@fault("rows are independent", "losses that depend on the other rows")
class ClaimsToCouple(ExampleAdversarialLoss):
    """Claims that rows couple, which they do not."""

    per_row = False


@fault("mean over sub discriminators", "one value a row of the generator's loss", alone=False)
class ScalarLoss(ExampleAdversarialLoss):
    """One value for the batch."""

    def generator(self, fake_logits):
        return super().generator(fake_logits).mean()


@fault("round trip", "the same loss after a checkpoint")
class DrawnMargin(ExampleAdversarialLoss):
    """A margin that is drawn when it is made, and stands in no checkpoint."""

    def __init__(self):
        super().__init__()
        self.margin = float(torch.rand(()))

    def discriminator(self, real_logits, fake_logits):
        return super().discriminator(real_logits, fake_logits) + self.margin


@fault("penalty is none or one value a row", "a penalty of at least 0")
class NegativePenalty(ExampleAdversarialLoss):
    """A penalty below 0."""

    def penalty(self, discriminator, real, fake, condition):
        return -discriminator(real)[0][-1].square().flatten(1).mean(1)


@fault("input is untouched", "the input as it was", alone=False)
class ClampingLoss(ExampleAdversarialLoss):
    """Clamps logits in place."""

    def generator(self, fake_logits):
        return super().generator([fake.detach().clamp_(-0.1, 0.1) + 0 * fake for fake in fake_logits])


@fault("double precision", "an output in double precision", alone=False)
class SingleLoss(ExampleAdversarialLoss):
    """Single precision, always."""

    def generator(self, fake_logits):
        return super().generator(fake_logits).float()
