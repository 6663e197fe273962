"""The textbook discriminator: fully connected, frame by frame."""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Discriminator
from lightning_voiceclone.core.masking import keep
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.networks.discriminators.minibatch import MinibatchDeviation
from lightning_voiceclone.networks.discriminators.projection import SpeakerProjection


class MLPDiscriminator(Discriminator):
    """Fully connected layers applied to each frame alone; one logit a frame (Goodfellow et al. 2014).

    Args:
        dims: widths; ``dims.features`` is F.
        hidden: numbers in each hidden layer.
        layers: linear layers, including that of the logits; at least 2.
        speaker: condition the logits on ``condition.speaker`` (projection, Miyato & Koyama 2018).
        minibatch: give the logits the standard deviation over the batch too, so that a collapse is noticed (Karras et
            al. 2018); rows then depend on each other.
        dropout: share of the hidden numbers dropped in training.

    Raises:
        ConfigurationError: if a number is out of range, or ``speaker`` is set and dims have none.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        hidden: int = 256,
        layers: int = 3,
        speaker: bool = False,
        minibatch: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.per_row = not minibatch
        check_positive(type(self).__name__, hidden=hidden, layers=layers - 1)
        widths = [dims.features] + [hidden] * (layers - 1)
        self.hidden = nn.ModuleList(nn.Conv1d(widths[index], hidden, 1) for index in range(layers - 1))
        self.judge = nn.Conv1d(hidden + minibatch, 1, 1)  # the name is a key in checkpoints
        self.before_logits = MinibatchDeviation() if minibatch else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.projection = SpeakerProjection(dims, hidden) if speaker else None

    def forward(self, x: Tensor, condition: Condition | None = None) -> list[list[Tensor]]:
        """One list: the hidden layers (B, hidden, T) of x (B, F, T), then its logits (B, 1, T).

        Padding frames of the condition are set to 0, in real and in fake.
        """
        if condition is not None:
            x = keep(x, condition.mask(x.shape[-1]))
        maps = []
        for layer in self.hidden:
            x = self.dropout(F.leaky_relu(layer(x), 0.2))
            maps.append(x)
        logits = self.judge(self.before_logits(x))
        if self.projection is not None:
            logits = self.projection(logits, x, condition)
        return [[*maps, logits]]
