"""Contexts: how they add up, and which frames a chunk is given."""

import math

import pytest

from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError


def test_sides_add_up_and_grids_have_a_common_multiple():
    assert Context(3, 2).then(Context(10, 1, grid=6)) == Context(13, 3, grid=6)


def test_what_a_later_part_takes_comes_in_whole_chunks_of_this_one():
    assert Context(3, 2, grid=4).then(Context(10, 1, grid=6)) == Context(3 + 12, 2 + 4, grid=12)
    assert Context(3, 2, grid=4).then(Context(8, 0)) == Context(3 + 8, 2, grid=4)
    assert Context(3, 2, grid=4).then(Context()) == Context(grid=4)


@pytest.mark.parametrize(
    ("later", "ratio", "expected"),
    [
        (Context(3, 1), 0.5, Context(7, 3, grid=2)),  # 3 frames of half the rate are 6 of ours
        (Context(3, 1, grid=4), 2.0, Context(3, 2, grid=2)),  # 3 frames of twice the rate are begun 2 of ours
        (Context(0, 0), 62.5 / 100, Context(1, 1, grid=8)),  # 8 frames of ours are the first to be whole ones: 5
        (Context(0, 0), 50 / (22050 / 256), Context(1, 1, grid=441)),
        (Context(), 0.5, Context(grid=2)),
    ],
)
def test_frames_of_another_rate(later, ratio, expected):
    assert Context(1, 1).then(later, ratio) == expected


def test_side_by_side_the_wider_counts():
    assert Context(3, 0, grid=2).beside(Context(1, 4, grid=3)) == Context(3, 4, grid=6)
    assert Context(3, 3).beside(Context()) == Context()


def test_a_chunk_is_given_whole_grids_before_it_and_never_more_than_there_is():
    context = Context(5, 3, grid=4)
    assert context.around(16, 20, 100) == (8, 23)
    assert context.around(4, 8, 100) == (0, 11)
    assert context.around(96, 100, 100) == (88, 100)
    assert Context().around(16, 20, 100) == (0, 100)


@pytest.mark.parametrize("values", [(-1, 0, 1), (0, math.nan, 1), (0, 0, 0)])
def test_what_no_part_can_have_is_refused(values):
    with pytest.raises(ConfigurationError, match=f"left is {values[0]}, right {values[1]} and grid {values[2]}"):
        Context(*values)
