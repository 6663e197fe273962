"""Frames resampled in time, at once and chunk by chunk."""

import pytest
import torch

from lightning_voiceclone.voice.tempo import Tempo


def frames(count, channels=3):
    random = torch.Generator().manual_seed(count)
    f0 = torch.rand(1, count, generator=random).round() * 100
    return {"content": torch.randn(1, channels, count, generator=random), "f0": f0,
            "noise": torch.randn(1, 8, count, generator=random)}  # fmt: skip


def changed(fields, speed):
    tempo = Tempo()
    return tempo.push(fields, tempo.init_state(1), speed, final=True)[0]


def by_chunks(fields, speed, sizes):
    tempo, made = Tempo(), []
    state, total, begin = tempo.init_state(1), fields["f0"].shape[-1], 0
    for size in sizes:
        chunk = {name: value[..., begin : begin + size] for name, value in fields.items()}
        out, state = tempo.push(chunk, state, speed)
        made.append(out)
        begin += size
    chunk = {name: value[..., begin:] for name, value in fields.items()} if begin < total else {}
    made.append(tempo.push(chunk, state, speed, final=True)[0])
    return {name: torch.cat([out[name] for out in made if out], -1) for name in fields}


def test_twice_as_fast_takes_half_the_frames():
    given = frames(40)
    fast = changed(given, 2.0)
    assert fast["content"].shape == (1, 3, 20)
    # Frame t lies between frames 2 t and 2 t + 1.
    torch.testing.assert_close(fast["content"], given["content"].unflatten(2, (-1, 2)).mean(3))


def test_pitch_is_taken_and_never_mixed_with_silence():
    given = frames(40)
    slow = changed(given, 0.5)
    assert slow["f0"].shape == (1, 80)
    assert set(slow["f0"].flatten().tolist()) == set(given["f0"].flatten().tolist())


def test_one_changes_nothing():
    given = frames(40)
    assert changed(given, 1.0) is given


def test_never_less_than_a_frame():
    assert changed(frames(1), 4.0)["f0"].shape == (1, 1)


@pytest.mark.parametrize("speed", [0.5, 0.7, 2.0])
def test_noise_stays_standard_normal(speed):
    assert float(changed(frames(4000), speed)["noise"].std()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.25, 2.0, 4.0])
def test_chunks_give_the_frames_of_the_whole(speed):
    given = frames(200)
    whole = changed(given, speed)
    for sizes in ([1] * 200, [7, 1, 90, 3], [200]):
        chunks = by_chunks(given, speed, sizes)
        assert chunks["content"].shape == whole["content"].shape
        torch.testing.assert_close(chunks["content"], whole["content"], rtol=0, atol=1e-4)
        assert torch.equal(chunks["f0"], whole["f0"])


@pytest.mark.parametrize("speed", [0.3, 0.9, 1.7, 3.3])
def test_a_last_frame_that_does_not_come_out_even_is_rounded(speed):
    given = frames(101)
    assert by_chunks(given, speed, [13] * 7)["f0"].shape[-1] == changed(given, speed)["f0"].shape[-1]
