"""``lvc``: run a subcommand, and print errors that a user can fix in one line. Imports nothing heavy by itself."""

import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lightning_voiceclone import __version__
from lightning_voiceclone.cli.ending import end_at_once
from lightning_voiceclone.errors import SIGNALLED, LVCError, nearest
from lightning_voiceclone.utils.terminal import printable

# OpenMP's threads spin while they wait, by default so long that a step takes ten times as long where another process
# needs the core. This value costs nothing on an idle machine.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

TRAINING = "lightning_voiceclone.cli.training"
COMMANDS = {
    "fit": (TRAINING, "train a model: lvc fit --config recipes/librispeech.yaml"),
    "validate": (TRAINING, "evaluate a checkpoint on the validation split"),
    "test": (TRAINING, "evaluate a checkpoint on the test split"),
    "predict": (TRAINING, "resynthesise crops of the test split and write them as WAV"),
    "tune": ("lightning_voiceclone.cli.tune", "search settings of a recipe, one training a trial"),
    "clone": ("lightning_voiceclone.cli.clone", "convert a recording to the voice of a reference"),
    "live": ("lightning_voiceclone.cli.live", "convert a microphone, or a file in its place, as it comes in"),
    "say": ("lightning_voiceclone.cli.say", "speak a text, or subtitles, in the voice of a reference"),
    "coach": ("lightning_voiceclone.cli.coach", "compare an attempt at a sentence with how it should be said"),
    "phonemes": ("lightning_voiceclone.cli.phonemes", "print how a text is to be spoken: words and phonemes"),
    "adapt": ("lightning_voiceclone.cli.adapt", "fine-tune a model on half a minute of one speaker"),
    "save": ("lightning_voiceclone.cli.save", "turn a checkpoint into a model folder, which loads without Lightning"),
    "checkpoint": (
        "lightning_voiceclone.cli.checkpoint",
        "show what a checkpoint holds, or where two of them differ",
    ),
    "export": ("lightning_voiceclone.cli.export", "turn a model into ONNX graphs, which need no torch"),
    "compress": ("lightning_voiceclone.cli.compress", "make a model smaller and faster, and measure what that costs"),
    "prepare": ("lightning_voiceclone.cli.prepare", "check recordings and write a manifest, with optional caching"),
    "evaluate": (
        "lightning_voiceclone.cli.evaluate",
        "measure clones of many pairs: metrics with intervals, and a page",
    ),
    "compare": ("lightning_voiceclone.cli.compare", "compare reports of lvc evaluate: differences with intervals"),
    "listen": ("lightning_voiceclone.cli.listen", "a listening test in the browser; prints its results"),
    "recipes": (
        "lightning_voiceclone.cli.recipes",
        "list the recipes that lvc fit --config takes by name, or copy one",
    ),
    "plugins": ("lightning_voiceclone.cli.plugins", "list the installed parts"),
    "demo": ("lightning_voiceclone.cli.demo", "make a small corpus, train on it, clone, and write a page"),
}


def usage() -> str:
    """What ``lvc --help`` prints."""
    lines = [f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join([
        "usage: lvc COMMAND [OPTIONS]",
        "",
        "Voice cloning and GAN training in PyTorch Lightning; every part is a plugin.",
        "",
        *lines,
        "",
        "lvc COMMAND --help explains each. --debug with any of them shows the traceback of an error.",
        "lvc --version prints the version.",
    ])  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 1 for a failure, 2 for an error that a user can fix, 130 for Ctrl-C.

    SIGTERM and SIGHUP end it as Ctrl-C does, with all clean-up, and give 143 and 129. Without ``argv`` it is the whole
    of its process, which then ends at once.
    """
    if argv is None:
        ending = end_at_once()
        ending.append(main(sys.argv[1:]))
        return ending[0]
    arguments = list(argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8, nor the terminal
    ended: list[int] = []
    hook = threading.excepthook
    threading.excepthook = hook if debug else _thread_failed
    try:
        with _signals_as_interruption(ended):
            status = _run(arguments)
        return SIGNALLED + ended[0] if ended and status == SIGNALLED + signal.SIGINT else status
    except KeyboardInterrupt:
        print("lvc: interrupted", file=sys.stderr)
        return SIGNALLED + (ended[0] if ended else signal.SIGINT)
    except (LVCError, OSError, MemoryError) as error:
        if debug:
            raise
        if isinstance(error, BrokenPipeError):  # the reader of the output, such as head, has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        print(f"lvc: error: {printable(_in_one_line(error))}", file=sys.stderr)
        return 2
    finally:
        threading.excepthook = hook


@contextmanager
def _signals_as_interruption(ended: list[int]) -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP, where they would end the process; ``ended`` gets their number.

    Where they are ignored (nohup) or have another handler, they stay as they are.
    """

    def end(number: int, frame: object) -> None:
        ended.append(number)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Print an OSError of a thread, such as TensorBoard's on a full disk, in one line."""
    if isinstance(failed.exc_value, OSError):
        print(f"lvc: warning: {_in_one_line(failed.exc_value)}", file=sys.stderr)
    else:
        threading.__excepthook__(failed)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "--version"):
        print(__version__ if arguments[:1] == ["--version"] else usage(), flush=True)
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise LVCError(f"no command is called {name!r}{nearest(name, COMMANDS)}; lvc --help lists them")
    module = importlib.import_module(COMMANDS[name][0])
    return module.run(arguments) if COMMANDS[name][0] == TRAINING else module.run(arguments[1:])


def _in_one_line(error: BaseException) -> str:
    if isinstance(error, OSError):
        from lightning_voiceclone.utils.files import explain_os_error

        return explain_os_error(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); try a smaller data.batch_size"
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
