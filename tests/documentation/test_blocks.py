"""Every code block of the pages: each command is one that its program takes, each piece of Python runs."""

import ast
import contextlib
import importlib.util
import re
import sys
import types
from functools import partial

import numpy as np
import pytest
import soundfile
import yaml
from documentation.blocks import ROOT, all_blocks, blocks_of

from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.testing.signals import speech_like


def same(words):
    """A command without what makes no difference to how its options are read: the folder of recipes that ship."""
    return tuple(word.removeprefix("recipes/") for word in words)


BLOCKS = all_blocks()
RUN = [block for block in BLOCKS if not block.reason]
SHELL = [block for block in RUN if block.language == "shell"]
PYTHON = [block for block in RUN if block.language == "python"]
PROJECT = (ROOT / "pyproject.toml").read_text()
EXTRAS = set(re.findall(r"^(\w+) = \[", PROJECT.partition("[project.optional-dependencies]")[2], re.MULTILINE))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
TRAINED_BY = {"vocoder_hifigan": "lvc_hifigan", "vocoder_wavenet": "lvc_wavenet",
              "tacotron2": "lvc_tacotron"}  # recipes of packages in plugins/  # fmt: skip
# Commands that need not be read again: those that tests/cli/test_training.py trains by, and those read before.
READ = {same(words) for block in SHELL if block.page == "recipes/README.md" for words in block.commands
        if words[:3] == ["lvc", "fit", "--config"]}  # fmt: skip
SHELL_WORDS = {".", "apt-get", "grep", "pytest"}  # programs of which nothing is checked


class ParsedError(BaseException):
    """The command line was read without an error; what would come next is the work itself."""


@pytest.fixture(scope="module")
def read_only():
    """Commands that read their options, and stop there."""
    from lightning_voiceclone.cli import failures, options, training

    built = training.build_cli
    own = ["--config", str(ROOT / "recipes/librispeech.yaml")]  # in place of the run's config.yaml
    parsers = {}

    def stop_after(method):
        def read(*arguments, **settings):
            method(*arguments, **settings)
            raise ParsedError

        return read

    def parse(command_line, parser, words):
        parsers[words[0]] = parser
        command_line.parse_arguments_of_lightning(parser, words)
        raise ParsedError

    def build(words, **settings):
        """As the command does; a parser that was built before, which takes a second, is used again."""
        if words[0] in parsers:
            with failures.translated():
                parsers[words[0]].parse_args(words)
            raise ParsedError
        built(words, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options.CommandParser, "parse_args", stop_after(options.CommandParser.parse_args))
        patch.setattr(training.TrainingCLI, "parse_arguments_of_lightning", training.TrainingCLI.parse_arguments,
                      raising=False)  # fmt: skip
        patch.setattr(training.TrainingCLI, "parse_arguments", parse)
        patch.setattr(training, "build_cli", build)
        patch.setattr(training, "with_own_config", lambda words: [words[0], *([] if words[0] == "fit" else own),
                                                                  *words[1:]])  # fmt: skip
        yield


def check_lvc(words):
    from lightning_voiceclone.cli.main import _run

    if words[:1] == ["--version"]:
        return
    with pytest.raises((ParsedError, SystemExit)) as ended:
        _run(words)
    assert not isinstance(ended.value, SystemExit) or not ended.value.code, words


def check_pip(words):
    assert words[0] in ("install", "uninstall"), words
    for word in words[1:]:
        name, _, extras = word.rstrip("]").partition("[")
        assert set(extras.split(",")) <= EXTRAS | {""} or name not in (".", "lightning-voiceclone"), word
        if name.startswith(("plugins/", "./plugins/")):
            assert (ROOT / name / "pyproject.toml").is_file(), word


def check_make(words):
    assert {word for word in words if "=" not in word} <= TARGETS, words


def check_python(words):
    while words and words[0] in ("-W", "ignore"):
        words = words[1:]
    if words[0] == "-m":
        assert words[1] in ("venv", "build", "pip", "pytest") or [*ROOT.glob(f"plugins/*/{words[1]}")], words
        return
    source = (ROOT / words[0]).read_text()
    for option in (word.partition("=")[0] for word in words[1:] if word.startswith("--")):
        assert f'"{option}"' in source or "common" in source or "speech" in option, (words[0], option)


def check_package(package, words):
    """The options of a package in plugins/ that has a parser of its own, and need not be installed."""
    source = "".join(path.read_text() for path in ROOT.glob(f"plugins/{package}/lvc_*/*.py"))
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert f'"{option}"' in source, option


def check_wandb(words):
    assert words[0] == "sweep", words
    assert (ROOT / words[1]).is_file(), words


CHECKS = {"lvc": check_lvc, "pip": check_pip, "make": check_make, "python": check_python, "wandb": check_wandb,
          "lvc-runtime": partial(check_package, "lvc-runtime"),
          "lvc-federate": partial(check_package, "lvc-flower")}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory that has what commands of the pages name."""
    for name in ("recipes", "configs", "plugins"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "lvc-mine").mkdir()  # what lvc plugins new writes; tests/scaffold has the real ones
    (tmp_path / "lvc-mine/recipe.yaml").write_text("model: {init_args: {generator: MLPGenerator}}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recordings(folder):
    """The recordings and the model that the pages' Python names."""
    from lightning_voiceclone.checkpoints.voice_folder import save_voice
    from lightning_voiceclone.testing.voices import small_streaming_voice

    for number, name in enumerate(("a.wav", "b.wav", "b2.wav", "lecture.flac")):
        audio = speech_like(2.0, speaker=min(number, 1), seed=number).audio
        soundfile.write(folder / name, audio, 16000)
    save_voice(small_streaming_voice(), folder / "my-model")
    return folder


class Twice(ast.NodeTransformer):
    """Loops that would run for ever run two times."""

    def visit_While(self, node):
        self.generic_visit(node)
        assert isinstance(node.test, ast.Constant), "a loop with an end"
        loop = ast.parse("for _ in range(2): pass").body[0]
        loop.body = node.body
        return ast.copy_location(loop, node)


def execute(text, name, namespace):
    tree = ast.fix_missing_locations(Twice().visit(ast.parse(text)))
    exec(compile(tree, name, "exec"), namespace)


@pytest.mark.slow
@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in PYTHON))
def test_python_of_a_page_runs_in_its_order(page, recordings, capsys):
    if page.startswith("plugins/"):
        pytest.importorskip(page.split("/")[1].replace("-", "_"), exc_type=ImportError)
    played = []
    namespace = {"source": [np.zeros(4000, np.float32)] * 2, "play": played.append, "__name__": "page"}
    for block in PYTHON:
        if block.page == page:
            execute(block.text, f"{page}:{block.line}", namespace)


@pytest.mark.slow
@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_are_accepted(block, read_only, folder):
    for program, *words in block.commands:
        if same([program, *words]) in READ:
            continue
        needed = {module for recipe, module in TRAINED_BY.items() if any(recipe in word for word in words)}
        if program in SHELL_WORDS or any(importlib.util.find_spec(module) is None for module in needed):
            continue
        assert program in CHECKS, f"{block}: {program} is no program whose commands are checked"
        try:
            CHECKS[program](words)
        except LVCError as error:
            pytest.fail(f"{block}: {program} {' '.join(words)}: {error}")
        READ.add(same([program, *words]))


def test_data_in_blocks_can_be_read():
    for block in RUN:
        if block.language == "yaml":
            assert yaml.safe_load(block.text) is not None, str(block)
        elif block.language == "toml":
            pytest.importorskip("tomllib", reason="needs Python 3.11").loads(block.text)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.reason], ids=str)
def test_not_run(block):
    pytest.skip(block.reason)


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs/hooks/pages.py")
    module = importlib.util.module_from_spec(spec)
    before = [*sys.path]
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_blocks_that_are_made_for_a_kind_run(kind, hooks, read_only, folder):
    text = hooks.generated(kind)
    shell, example, tests, entry = blocks_of(text, f"docs/kinds/{kind.name}.md")
    for program, *words in shell.commands:
        CHECKS[program](words)
    assert example.text.strip() == hooks.part_of(kind).source.strip()
    part = hooks.part_of(kind)
    module = types.ModuleType(f"lvc_mine.{part.module}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        execute(example.text, module.__name__, vars(module))
        namespace = {"__name__": "tests"}
        execute(tests.text, "tests", namespace)
    assert issubclass(getattr(module, part.name), kind.load_contract())
    assert issubclass(namespace[f"Test{part.name}"], kind.load_conformance())
    assert entry.text.splitlines()[0] == f'[project.entry-points."{kind.group}"]'
    with contextlib.suppress(ImportError):
        import tomllib

        assert tomllib.loads(entry.text)


def test_a_block_that_is_wrong_is_found(read_only, folder):
    (block,) = blocks_of("text\n\n    lvc clone --sorce a.wav --output c.wav\n", "page")
    with pytest.raises(LVCError, match="there is no option --sorce"):
        check_lvc(block.commands[0][1:])
    (block,) = blocks_of("```bash\nlvc fit --config librispeech --model.generator NoSuch\n```\n", "page")
    with pytest.raises(LVCError, match="no Generator is called 'NoSuch'"):
        check_lvc(block.commands[0][1:])


def test_a_mark_is_of_the_next_block_alone():
    first, second = blocks_of("<!-- not run: hours -->\n```bash\nlvc demo\n```\n\n```bash\nlvc demo\n```\n", "page")
    assert (first.reason, second.reason) == ("hours", "")
