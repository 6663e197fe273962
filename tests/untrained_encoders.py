"""Encoders that learn nothing, for tests of what is trained by their output."""

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import ContentEncoder, SpeakerEncoder
from lightning_voiceclone.core.masking import masked_mean_and_deviation


class LowBands(ContentEncoder):
    """Says what the four lowest bands are, and learns nothing."""

    channels = 4
    frame_rate = 100.0

    def __init__(self, dims):
        super().__init__()

    def forward(self, x, lengths=None):
        return x[:, :4]


class Quarters(ContentEncoder):
    """Says the mean of each quarter of a frame of 20 ms of audio, and learns nothing."""

    takes = "audio"
    sample_rate = 16000
    channels = 4
    frame_rate = 50.0

    def __init__(self, dims):
        super().__init__()

    def forward(self, x, lengths=None):
        return x.unflatten(1, (-1, 4, 80)).mean(3).transpose(1, 2)


class Levels(SpeakerEncoder):
    """Says how loud each quarter of a frame of 20 ms of audio is, and learns nothing."""

    takes = "audio"
    sample_rate = 16000
    channels = 4

    def __init__(self, dims):
        super().__init__()

    def forward(self, x, lengths=None):
        return x.unflatten(1, (-1, 4, 80)).abs().mean((1, 3))


class Spectrum(SpeakerEncoder):
    """Says the mean of each band, and learns nothing."""

    channels = 20

    def __init__(self, dims):
        super().__init__()

    def forward(self, x, lengths=None):
        return masked_mean_and_deviation(x, Condition(lengths).mask(x.shape[2]) > 0)[0]
