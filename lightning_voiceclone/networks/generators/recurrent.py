"""A bidirectional recurrent generator."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.channel_norm import ChannelNorm
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields
from lightning_voiceclone.networks.layers.initialization import begin_small


class RecurrentGenerator(Generator):
    """A bidirectional GRU (Cho et al. 2014) or LSTM (Hochreiter & Schmidhuber 1997), modulated by the speaker.

    Context is the whole utterance.

    Args:
        dims: widths of the inputs and of the features.
        hidden: numbers of the state in each direction.
        layers: recurrent layers.
        cell: gru or lstm.
        dropout: share of the numbers dropped between recurrent layers in training.

    Raises:
        ConfigurationError: if a number is out of range, the cell is unknown, or dims promise no input.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        hidden: int = 192,
        layers: int = 2,
        cell: Literal["gru", "lstm"] = "gru",
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive(type(self).__name__, hidden=hidden, layers=layers)
        cells: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}
        if cell not in cells:
            raise ConfigurationError(f"{type(self).__name__}: cell is {cell!r}; it must be one of {', '.join(cells)}")
        self.needs = needed_fields(dims)
        self.inputs = FrameInputs(dims)
        self.enter = nn.Conv1d(self.inputs.channels, hidden, 1)
        self.enter_modulation = SpeakerModulation(dims, hidden)
        self.recurrent = cells[cell](
            hidden, hidden, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
        )
        self.norm = ChannelNorm(2 * hidden)
        self.leave_modulation = SpeakerModulation(dims, 2 * hidden)
        self.leave = nn.Conv1d(2 * hidden, dims.features, 1)
        begin_small(self.leave)

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        x = self.inputs(condition)
        frames = x.shape[-1]
        x = F.silu(self.enter_modulation(self.enter(x), condition)).transpose(1, 2)
        # Packed, the backward direction begins at each row's own last frame and not in its padding.
        lengths = condition.lengths.clamp(min=1, max=frames).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        read, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=frames)
        x = self.leave_modulation(self.norm(read.transpose(1, 2)), condition)
        return self.leave(F.silu(x))
