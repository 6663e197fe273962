from types import SimpleNamespace

import numpy as np
import pytest

from lightning_voiceclone.inference.live.clock import SimulatedClock
from lightning_voiceclone.inference.live.converters import Rehearsal
from lightning_voiceclone.inference.live.engine import Live
from lightning_voiceclone.inference.live.session import Session
from lightning_voiceclone.testing.live import FakeLoudspeaker, FakeMicrophone, PassThrough


@pytest.fixture
def begun():
    """A session on a fake card: (sound, microphone's settings, loudspeaker's settings, ...) -> its pieces."""

    def begin(sound=lambda times: np.zeros(len(times)), microphone=(), loudspeaker=(), converter=None, **settings):
        clock, notes = SimulatedClock(), []
        converter = PassThrough() if converter is None else converter(clock)
        needs = Rehearsal(getattr(converter, "lookahead", 0) / converter.sample_rate, 0.0)
        live = Live(converter, clock, **{"needs": needs, **settings})
        source = FakeMicrophone(clock, sound, **dict(microphone))
        sink = FakeLoudspeaker(clock, **dict(loudspeaker))
        session = Session(live, source, sink, clock, note=notes.append)
        return SimpleNamespace(clock=clock, converter=converter, live=live, source=source, sink=sink, session=session,
                               run=session.run, notes=notes)  # fmt: skip

    return begin
