"""What is shown of a live conversion while it runs, and the commands that change it."""

import os
import shlex
from collections.abc import Callable
from typing import Any

from lightning_voiceclone.errors import ConfigurationError, LVCError, nearest
from lightning_voiceclone.inference.live.converters import ModelConverter
from lightning_voiceclone.inference.live.engine import Live
from lightning_voiceclone.utils.files import explain_os_error

COMMANDS = {
    "pitch": "SEMITONES above the reference's pitch",
    "guidance": "STRENGTH, 0 to 2",
    "voice": "FILE ..., recordings of another speaker, or a .voice file",
    "gate": "DB, the level below which nothing is converted, or off",
    "mute": "and again to go on",
    "quit": "",
}


class Console:
    """Carries out commands, one a line.

    Args:
        live: the engine.
        converter: its converter.
        stop: ends the session.
        report: called with a line on what came of a command, or what is wrong with it.
    """

    def __init__(
        self, live: Live, converter: ModelConverter, stop: Callable[[], None], report: Callable[[str], None]
    ) -> None:
        self.live, self.converter, self._stop, self._report = live, converter, stop, report
        self._speakers: dict[tuple[str, ...], Any] = {}

    def run(self, line: str) -> None:
        """Carry out a command."""
        try:
            words = shlex.split(line, posix=os.name != "nt")
            if words:
                self._report(self._run(words[0], words[1:]))
        except (LVCError, ValueError) as error:  # ValueError: a quotation that does not end
            self._report(f"error: {' '.join(str(error).split())}")
        except OSError as error:
            self._report(f"error: {explain_os_error(error)}")
        except Exception as error:  # a plugin's, for example: the next command is carried out
            self._report(f"error: {type(error).__name__}: {' '.join(str(error).split())}")

    def _run(self, command: str, words: list[str]) -> str:
        if command not in COMMANDS:
            raise ConfigurationError(
                f"no command is called {command!r}{nearest(command, COMMANDS)}; there are {', '.join(COMMANDS)}"
            )
        if command == "quit":
            self._stop()
            return "ends"
        if command == "mute":
            self.live.muted = not self.live.muted
            return "muted" if self.live.muted else "not muted"
        if not words:
            raise ConfigurationError(f"{command} needs a value: {command} {COMMANDS[command]}")
        if command == "voice":
            self.converter.change(self._speaker(tuple(words)))
        elif command == "gate":
            self.live.gate.set(None if words[0] == "off" else _number(command, words[0]))
        else:
            options = {"pitch_shift" if command == "pitch" else command: _number(command, words[0])}
            self.converter.change(None, **options)
        return f"{command}: {' '.join(words)}"

    def _speaker(self, paths: tuple[str, ...]) -> Any:
        """A speaker, analysed once."""
        if paths not in self._speakers:
            self._speakers[paths] = self.converter.speaker(*paths)
        return self._speakers[paths]


def _number(command: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ConfigurationError(f"{command} is {word!r}, but must be a number") from None


def readout(live: Live) -> str:
    """The delay and its terms in ms, level, and what went wrong, in one line."""
    work = live.delays.percentiles(50, 95)["work"]
    slow = f"too slow: a chunk of {1000 * live.chunk:.0f} ms takes {1000 * work[0]:.0f} ms; use a longer one"
    if live.silent and not len(live.delays):
        return slow if work[0] > live.chunk else "nothing is played yet"
    delay, counts = live.delays.mean(), live.counts
    terms = zip(("capture", "chunk", "look-ahead", "compute", "queue", "output"), delay.terms, strict=True)
    state = "muted" if live.muted else "silent" if live.silent else "open" if live.gate.is_open else "closed"
    parts = [
        " + ".join(f"{name} {1000 * value:.0f}" for name, value in terms) + f" = {1000 * delay.total:.0f} ms",
        f"work {1000 * work[1]:.1f} ms (p95)",
        f"level {live.gate.level:.0f} dB, {state}",
        f"dropped {counts.dropped:.2f} s",
    ]
    if work[0] > live.chunk:
        parts.append(slow)
    if counts.gaps:
        parts.append(f"{counts.gaps} gaps")
    if counts.replaced:
        parts.append(f"{counts.replaced} samples were not finite")
    if counts.faults:
        parts.append(f"{counts.faults} faults, the last: {counts.fault}")
    return "; ".join(parts)
