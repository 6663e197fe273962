"""Microphones and loudspeakers, by the package sounddevice (PortAudio), which is imported only here."""

import time
from types import ModuleType
from typing import Any, Literal

import numpy as np

from lightning_voiceclone.errors import ConfigurationError, PluginError, nearest
from lightning_voiceclone.inference.live.devices import BLOCK_SECONDS, Callback
from lightning_voiceclone.utils.optional import need
from lightning_voiceclone.utils.sounddevice_internals import rescan
from lightning_voiceclone.utils.terminal import printable

Side = Literal["input", "output"]
QUIET_SECONDS = 1.0  # without a call, after which a device counts as gone
DEFAULT = "default"  # a name for the system's choice
LIST = "lvc live --list-devices lists them"


class SoundCard:
    """The devices of this computer.

    Raises:
        PluginError: if sounddevice or PortAudio is missing; names the command that installs it.
    """

    def __init__(self) -> None:
        try:
            self.library: ModuleType = need("sounddevice", "live")
        except OSError as error:  # sounddevice is there, the library is not
            raise PluginError(
                f"sounddevice does not load ({' '.join(str(error).split())}); install PortAudio:"
                " apt-get install libportaudio2, or brew install portaudio"
            ) from error
        self.open_devices: list[CardDevice] = []

    def listed(self) -> str:
        """All devices, a line each: number, name, channels and rate; ``>`` marks the default ones."""
        return printable(self.library.query_devices(), lines=True)

    def device(self, side: Side, name: str | None) -> "CardDevice":
        """A device by its number, its name or a part of that, in any case; None for the default one.

        Raises:
            ConfigurationError: if there is none.
        """
        return CardDevice(self, side, name)

    def find(self, side: Side, name: str | None) -> tuple[int, dict[str, Any]]:
        """Number and properties of a device; arguments as of :meth:`device`."""
        devices = list(self.library.query_devices())
        usable = {number: one for number, one in enumerate(devices) if one[f"max_{side}_channels"] > 0}
        if name in (None, DEFAULT):
            number = self.library.default.device[side == "output"]
            if number in usable:
                return number, usable[number]
            raise ConfigurationError(f"there is no {side} device, or none is the default; name one with --{side}")
        by_name = {number: str(one["name"]) for number, one in usable.items()}
        assert name is not None
        wanted = name.casefold()
        for fits in (
            lambda number, its: name == str(number),
            lambda number, its: its == wanted,
            lambda number, its: wanted in its,
        ):
            for number, its in by_name.items():
                if fits(number, its.casefold()):
                    return number, usable[number]
        raise ConfigurationError(
            f"no {side} device is called {name!r}{nearest(name, by_name.values())}; {LIST}, and --{side}"
            f" {DEFAULT} is the system's"
        )

    def rescan(self) -> None:
        """Look for devices that came or went; those that are open are opened again."""
        running = list(self.open_devices)
        for device in running:
            device.close()
        rescan(self.library)
        for device in running:
            device.reopen()


class CardDevice:
    """A microphone or a loudspeaker, at its own rate; see :class:`~lightning_voiceclone.inference.live.devices.Device`.

    Args:
        card: that it belongs to.
        side: input or output.
        name: as of :meth:`SoundCard.device`.
    """

    finished = False

    def __init__(self, card: SoundCard, side: Side, name: str | None) -> None:
        self._card, self._side, self._wanted = card, side, name
        self._number, properties = card.find(side, name)
        self.name = str(properties["name"])
        self.rate = self.block = 0
        self.latency = 0.0
        self._stream: Any = None
        self._callback: Callback | None = None
        self._called = 0.0

    def open(self) -> None:
        """As of ``Device``; a second time it looks for devices anew, if the old one is not there.

        Raises:
            ConfigurationError: if it is not there, or PortAudio cannot open it, for example because it is busy.
        """
        again = self._callback is not None
        try:
            self._open()
        except ConfigurationError:
            if not again:
                raise
            self._card.rescan()
            self._open()

    def _open(self) -> None:
        number, properties = self._place()
        library = self._card.library
        self.name, self.rate = str(properties["name"]), round(properties["default_samplerate"])
        self.block = round(BLOCK_SECONDS * self.rate)
        channels = 1 if self._side == "input" else min(2, properties["max_output_channels"])
        self._memory = np.zeros(self.block, np.float32)
        kind, call = (
            (library.InputStream, self._captured) if self._side == "input" else (library.OutputStream, self._play)
        )
        try:
            self._stream = kind(device=number, samplerate=self.rate, blocksize=self.block, channels=channels,
                                dtype="float32", latency="low", callback=call)  # fmt: skip
        except library.PortAudioError as error:
            raise self._refused(error) from error
        self.latency = float(self._stream.latency)
        self._card.open_devices.append(self)

    def _place(self) -> tuple[int, dict[str, Any]]:
        """Number and properties of the device that was chosen: several may have one name."""
        if self._wanted is None:
            return self._card.find(self._side, None)
        devices = list(self._card.library.query_devices())
        if self._number < len(devices) and str(devices[self._number]["name"]) == self.name:
            return self._number, devices[self._number]
        self._number, properties = self._card.find(self._side, self.name)
        return self._number, properties

    def _refused(self, error: Exception) -> ConfigurationError:
        reason = " ".join(str(error).split())
        remedy = "close the program that uses it, or name another one" if "unavailable" in reason.lower() else (
            "name another one")  # fmt: skip
        return ConfigurationError(f"the {self._side} device {self.name} cannot be opened: {reason}; {remedy}; {LIST}")

    def start(self, callback: Callback) -> None:
        """As of ``Device``.

        Raises:
            ConfigurationError: if PortAudio cannot start it.
        """
        self._callback, self._called = callback, time.monotonic()
        try:
            self._stream.start()
        except self._card.library.PortAudioError as error:
            self.close()
            raise self._refused(error) from error

    def reopen(self) -> None:
        """Go on after :meth:`close`, if it can; else it is not alive."""
        try:
            self._open()
            if self._callback is not None:
                self.start(self._callback)
        except ConfigurationError:
            self.close()

    @property
    def alive(self) -> bool:
        """As of ``Device``."""
        if self._stream is None or time.monotonic() - self._called >= QUIET_SECONDS:
            return False
        try:
            return bool(self._stream.active)
        except self._card.library.PortAudioError:  # of a device that was pulled out
            return False

    def close(self) -> None:
        """As of ``Device``."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            self._card.open_devices.remove(self)
            stream.close()

    # In PortAudio's thread -------------------------------------------------------------------------------------------

    def _captured(self, data: Any, frames: int, moments: Any, status: object) -> None:
        """Give a block to the engine."""
        assert self._callback is not None
        self._called = now = time.monotonic()
        age = moments.currentTime - moments.inputBufferAdcTime  # of the block's first sample
        if not 0 < age < QUIET_SECONDS:  # some systems give no times
            age = self.latency
        self._callback(data[:, 0], now - max(age - frames / self.rate, 0.0))

    def _play(self, data: Any, frames: int, moments: Any, status: object) -> None:
        """Take a block from the engine."""
        assert self._callback is not None
        self._called = now = time.monotonic()
        ahead = moments.outputBufferDacTime - moments.currentTime
        if not 0 < ahead < QUIET_SECONDS:
            ahead = self.latency
        out = self._memory[:frames]
        self._callback(out, now + ahead)
        data[:] = out[:, None]
