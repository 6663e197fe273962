"""Devices of sounddevice, in place of which a module of the same functions is imported; and what is remembered."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from lightning_voiceclone.errors import ConfigurationError, PluginError
from lightning_voiceclone.inference.live.sound_card import SoundCard
from lightning_voiceclone.utils.user_settings import load_settings, save_settings, settings_folder


class PortAudioError(Exception):
    pass


class FakeStream:
    latency, active = 0.012, False

    def __init__(self, library, **settings):
        self.library, self.settings = library, settings
        if library.busy:
            raise PortAudioError("Error opening stream: Device unavailable [PaErrorCode -9985]")
        library.streams.append(self)

    def start(self):
        self.active = True

    def close(self):
        self.active = False


DEVICES = [
    {"name": "USB Microphone", "max_input_channels": 2, "max_output_channels": 0, "default_samplerate": 44100.0},
    {"name": "Headphones", "max_input_channels": 0, "max_output_channels": 8, "default_samplerate": 48000.0},
    {"name": "Webcam Microphone", "max_input_channels": 1, "max_output_channels": 0, "default_samplerate": 16000.0},
]


@pytest.fixture
def library(monkeypatch):
    module = ModuleType("sounddevice")
    module.PortAudioError, module.busy, module.streams, module.rescans = PortAudioError, False, [], 0
    module.devices, module.default = list(DEVICES), SimpleNamespace(device=[0, 1])
    module.query_devices = lambda: module.devices
    module.InputStream = lambda **settings: FakeStream(module, **settings)
    module.OutputStream = lambda **settings: FakeStream(module, **settings)
    module._terminate = lambda: setattr(module, "rescans", module.rescans + 1)
    module._initialize = lambda: None
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


MOMENTS = SimpleNamespace(currentTime=5.0, inputBufferAdcTime=4.985, outputBufferDacTime=5.02)


@pytest.mark.parametrize(
    ("side", "name", "found"),
    [("input", None, "USB Microphone"), ("input", "webcam", "Webcam Microphone"), ("input", "2", "Webcam Microphone"),
     ("output", "default", "Headphones"), ("input", "usb microphone", "USB Microphone")],
)  # fmt: skip
def test_a_device_is_found_by_name_part_or_number(library, side, name, found):
    assert SoundCard().device(side, name).name == found


def test_a_name_that_no_device_has_is_refused_with_the_nearest(library):
    with pytest.raises(ConfigurationError, match=r"no output device is called 'Headphoness' \(did you mean Headphones"):
        SoundCard().device("output", "Headphoness")
    library.default.device = [-1, -1]
    with pytest.raises(ConfigurationError, match="there is no input device, or none is the default; name one with"):
        SoundCard().device("input", None)


def test_a_microphone_gives_mono_blocks_at_its_own_rate_with_their_moment(library):
    device, given = SoundCard().device("input", "usb"), []
    device.open()
    assert (device.rate, device.block, device.latency) == (44100, 441, 0.012)
    settings = library.streams[0].settings
    assert (settings["channels"], settings["blocksize"], settings["samplerate"]) == (1, 441, 44100)
    device.start(lambda samples, sounded: given.append((samples.copy(), sounded)))
    settings["callback"](np.ones((441, 1), np.float32), 441, MOMENTS, None)
    samples, sounded = given[0]
    assert samples.shape == (441,)
    assert device.alive
    assert device._called - sounded == pytest.approx(0.015 - 441 / 44100)
    device.close()
    assert not device.alive


def test_loudspeakers_play_the_same_on_two_channels(library):
    device, asked = SoundCard().device("output", None), []
    device.open()

    def play(out, sounds):
        asked.append(sounds)
        out[:] = 0.5

    device.start(play)
    data = np.zeros((480, 2), np.float32)
    library.streams[0].settings["callback"](data, 480, MOMENTS, None)
    assert (data == 0.5).all()
    assert asked[0] - device._called == pytest.approx(0.02)


def test_a_busy_device_is_one_line_with_a_remedy(library):
    library.busy = True
    device = SoundCard().device("output", None)
    with pytest.raises(ConfigurationError) as caught:
        device.open()
    assert str(caught.value) == (
        "the output device Headphones cannot be opened: Error opening stream: Device unavailable [PaErrorCode -9985];"
        " close the program that uses it, or name another one; lvc live --list-devices lists them"
    )


def test_a_device_that_comes_back_is_looked_for_anew_and_the_other_one_goes_on(library):
    card = SoundCard()
    source, sink = card.device("input", "usb"), card.device("output", None)
    for device in (sink, source):
        device.open()
        device.start(lambda samples, moment: None)
    source.close()
    library.devices, library.default.device = [DEVICES[1]], [-1, 0]
    with pytest.raises(ConfigurationError, match="no input device is called 'USB Microphone'"):
        source.open()
    assert (library.rescans, sink.alive) == (1, True)
    library.devices = DEVICES[::-1]  # its number is another one
    library.default.device = [2, 1]
    source.open()
    source.start(lambda samples, moment: None)
    assert (source.alive, source.name, library.rescans) == (True, "USB Microphone", 1)


def test_without_sounddevice_or_portaudio_one_line_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(PluginError, match=r"pip install 'lightning-voiceclone\[live\]'"):
        SoundCard()

    def fail(name):
        raise OSError("PortAudio library not found")

    monkeypatch.setattr("lightning_voiceclone.utils.optional.importlib.import_module", fail)
    with pytest.raises(PluginError, match=r"PortAudio library not found.; install PortAudio: apt-get install"):
        SoundCard()


def test_settings_are_remembered_and_a_damaged_file_is_none(monkeypatch, tmp_path):
    assert load_settings("live") == {}
    save_settings("live", {"input": "USB Microphone"})
    assert load_settings("live") == {"input": "USB Microphone"}
    for damaged in ("{", '{"input": 1}', "[]"):
        (settings_folder() / "live.json").write_text(damaged)
        assert load_settings("live") == {}
    monkeypatch.setenv("LVC_CONFIG", "/dev/null/no")
    save_settings("live", {"input": "x"})
    monkeypatch.delenv("LVC_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert tmp_path in settings_folder().parents or sys.platform != "linux"


def test_of_two_devices_of_one_name_the_chosen_one_is_opened(library):
    library.devices.append(dict(DEVICES[0], default_samplerate=96000.0))
    device = SoundCard().device("input", "3")
    device.open()
    assert library.streams[-1].settings["device"] == 3
    assert device.rate == 96000


def test_a_device_that_was_pulled_out_is_not_alive(library):
    device = SoundCard().device("input", "webcam")
    device.open()
    device.start(lambda samples, sounded: None)
    assert device.alive

    def pulled(stream):
        raise PortAudioError("Invalid stream pointer")

    library.streams[-1].__class__ = type("Pulled", (FakeStream,), {"active": property(pulled)})
    assert not device.alive
