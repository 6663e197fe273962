import pytest
import torch
from torch import nn

from lightning_voiceclone.checkpoints.build_limits import BuildLimitError, allow_more, limited, unlimited

HUGE = 1 << 18  # squared, 2**36 numbers: half a terabyte


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.empty(HUGE, HUGE),
        lambda: torch.zeros((HUGE, HUGE)),
        lambda: torch.randn(HUGE, HUGE),
        lambda: torch.eye(HUGE),
        lambda: torch.arange(HUGE * HUGE),
        lambda: torch.hann_window(HUGE * HUGE),
        lambda: torch.linspace(0, 1, HUGE * HUGE),
        lambda: torch.ones(1).repeat(HUGE, HUGE),
        lambda: torch.ones(1).new_zeros(HUGE, HUGE),
        lambda: torch.ones(1).expand(HUGE, HUGE) + 1,
        lambda: torch.ones(1).expand(HUGE, HUGE).contiguous(),
        lambda: torch.ones(HUGE, 1) * torch.ones(HUGE),
        lambda: torch.ones(HUGE, 1) @ torch.ones(1, HUGE),
        lambda: torch.outer(torch.ones(HUGE), torch.ones(HUGE)),
        lambda: torch.diag(torch.ones(HUGE)),
        lambda: nn.functional.pad(torch.ones(2), (0, HUGE * HUGE)),
        lambda: nn.functional.one_hot(torch.zeros(HUGE, dtype=torch.long), HUGE),
        lambda: nn.Linear(HUGE, HUGE),
        lambda: nn.LSTM(HUGE, HUGE),
        lambda: nn.Conv1d(HUGE, HUGE, 3),
        lambda: nn.Embedding(HUGE, HUGE),
    ],
)
def test_memory_is_refused_before_it_is_taken(make):
    with pytest.raises(BuildLimitError, match="far more memory than the weights in the file"), limited(1000, 1):
        make()


def test_many_small_modules_are_refused():
    with pytest.raises(BuildLimitError, match="many times as many tensors"), limited(1000, 1):
        nn.ModuleList(nn.Linear(1, 1) for _ in range(1 << 20))


@pytest.mark.slow
def test_what_a_file_holds_may_be_made_and_no_trace_is_left():
    with limited(1 << 28, 2):
        assert torch.empty(1 << 28).numel() == 1 << 28
    torch.empty(1 << 28)  # not counted any more
    allow_more(1)


def test_more_is_allowed_to_parts_that_read_a_file_of_their_own():
    with limited(0, 0):
        allow_more(1 << 28)
        torch.empty(1 << 27)
        with unlimited():
            torch.empty(1 << 29)
        with limited(1 << 28, 1):
            torch.empty(1 << 28)
        with pytest.raises(BuildLimitError):
            torch.empty(1 << 36)
