import re

import numpy as np
import pytest

from lightning_voiceclone.utils.html import plots


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, plots.NONE), (0.0, "0"), (0.12345, "0.123"), (1.2345, "1.23"), (12.345, "12.3"), (1234.5, "1234"),
     (0.00012, "0.0001"), (-2.5, "\N{MINUS SIGN}2.50"), (float("nan"), "nan")],
)  # fmt: skip
def test_figures_have_three_digits_that_count(value, shown):
    assert plots.figure(value) == shown


def test_a_curve_breaks_where_it_has_no_value():
    drawn = plots.curve(np.array([0, 0.25, 0.5, 0.75, 1]), np.array([0, 1, np.nan, 0.5, 0.25]), "clone")
    assert drawn == '<path class="clone" d="M0 1000L250 0M750 500L1000 750"/>'


def test_a_histogram_counts_every_value_once():
    values = [0.0, 0.1, 0.1, 0.9, 1.0]
    drawn = plots.histogram(values, 0.42, [0.2, 0.6], "five")
    bars = [
        float(height) for height in re.findall(r'<rect x="[\d.]+" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', drawn)
    ]
    counts = np.histogram(values, 4)[0]
    np.testing.assert_allclose(bars, 1000 * counts / counts.max(), atol=0.1)
    assert counts.sum() == 5
    assert 'x1="420.0"' in drawn
    assert 'class="interval" x="200.0" y="0" height="1000" width="400.0"' in drawn


def test_a_histogram_of_one_value_and_a_mean_outside():
    drawn = plots.histogram([2.0], 5.0, None, "one")
    assert 'x1="1000.0"' in drawn
    assert "nan" not in drawn


@pytest.mark.parametrize("seconds", [0.05, 0.4, 3.55, 18, 190, 2000])
def test_time_has_few_ticks_within_the_axis(seconds):
    ticks = plots.seconds_ticks(seconds)
    assert 1 <= len(ticks) <= 9
    assert all(0 <= place <= 1 for place, _ in ticks)
    assert ticks[0] == (0.0, "0")
