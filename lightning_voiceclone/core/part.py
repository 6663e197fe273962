"""Base class of all parts: it records its arguments, so that a model can be stored and built again."""

import functools
import inspect
import logging
from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.arguments import check_arguments
from lightning_voiceclone.core.deprecation import current_arguments, current_class
from lightning_voiceclone.core.description_checks import shown_package
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context, State
from lightning_voiceclone.errors import ConfigurationError, PluginError

GREATEST = 2**63 - 1  # of whole numbers
logger = logging.getLogger("lightning_voiceclone")


@dataclass(frozen=True)
class Dims:
    """The widths that networks must agree on; each is stated by the part that owns it and passed to the others.

    Args:
        features: F, channels of the features.
        content: C, channels of the content; 0 where there is none.
        speaker: D, numbers of the speaker embedding; 0 where there is none.
        noise: Z, numbers of noise a frame (or an utterance); 0 where there is none.
        pitch: whether the generator takes f0 and voicing.
        energy: whether the generator takes the energy.
        frame_rate: frames a second of the features.
    """

    features: int
    content: int = 0
    speaker: int = 0
    noise: int = 0
    pitch: bool = False
    energy: bool = False
    frame_rate: float = 100.0


class Part(nn.Module, ABC):
    """Base of everything that a plugin can supply. Records the arguments it was made with (see :func:`describe`).

    ``capabilities`` are claims that the conformance tests check: differentiable (gradients reach the input),
    deterministic, streamable (chunks with their context, or with the state of those before, give what the whole
    gives), exportable (by torch.export with lengths left open: what is exported at one length gives at any other, from
    some frames up, what the part gives), and of vocoders likelihood (see ``Vocoder.likelihood``).
    ``lvc plugins --claims`` lists them.

    ``context`` is declared by every part that works frame by frame (feature extractors, content encoders, generators,
    vocoders), on the class or in the constructor; None for all others. Its frames are those of the features; of an
    encoder of audio those of its content, at its ``frame_rate``.
    """

    kind: ClassVar[str]
    capabilities: ClassVar[frozenset[str]] = frozenset()
    context: Context | None = None
    shipped: ClassVar[tuple[str, str] | None] = None  # package and folder of the weights called "default"
    weights_sha256: str | None = (
        None  # of weights that checkpoints refer to instead of holding them (external_weights.freeze)
    )
    features_spec: AudioSpec | None = (
        None  # of the features for which pretrained weights were made, where no other spec says so
    )
    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Part":
        """Keep the arguments, before the class's own ``__init__`` sees them.

        Raises:
            ConfigurationError: if one is an integer beyond 64 bits, up to which a constructor might count.
        """
        for value in (*args, *kwargs.values()):
            if isinstance(value, int) and abs(value) > GREATEST:
                raise ConfigurationError(f"{cls.__name__}: an argument is {value}, expected at most {GREATEST}")
        part = super().__new__(cls)
        object.__setattr__(part, "_made_with", (args, kwargs))
        return part

    def init_state(self, batch: int) -> State | None:
        """Initial state of :meth:`forward_chunk` for ``batch`` rows; None for a part without state."""
        return None

    def forward_chunk(self, x: Any, state: State, ahead: int = 0) -> tuple[Tensor, State]:
        """The output for the next chunk, and the state for the one after it; the given state is not changed.

        Only for parts with an :meth:`init_state`. The concatenated outputs equal ``forward`` of the whole.

        Args:
            x: input as of ``forward``, for the chunk's frames and ``ahead`` frames after them.
            state: of :meth:`init_state`, or of the chunk before.
            ahead: frames at the end of x that are only context, and come again with the next chunk:
                ``context.right`` of them, fewer only where the recording ends.

        Raises:
            ConfigurationError: if the part keeps no state.
        """
        raise ConfigurationError(f"{type(self).__name__} keeps no state; give forward a chunk with its context")

    def fuse(self) -> None:
        """Precompute what depends on the weights alone, for faster inference; by default nothing.

        It is called when a model is loaded for inference (:func:`fuse_parts`). The part's state dict is not changed,
        and ``train()`` undoes it.
        """


def fuse_parts(module: nn.Module) -> None:
    """Call :meth:`Part.fuse` of the module, where it is a part, and of all parts inside."""
    for inner in module.modules():
        if isinstance(inner, Part):
            inner.fuse()


def describe(part: Part) -> dict[str, Any]:
    """Description from which the part can be built again: kind, name, package, version and arguments.

    Raises:
        ConfigurationError: if an argument is of a type that cannot be stored.
    """
    args, kwargs = part._made_with
    cls = current_class(type(part), report=False)
    name = cls.__name__
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    bound = signature.bind(part, *args, **current_arguments(cls, kwargs, report=False))
    bound.apply_defaults()  # a later version's defaults must not change an older model
    arguments = {}
    for argument, value in list(bound.arguments.items())[1:]:
        if signature.parameters[argument].kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            if value:
                raise ConfigurationError(f"{name} takes *{argument}, which a model cannot store; name its arguments")
            continue
        arguments[argument] = _encode(value, name)
    known = registry.package_of(cls)
    return {
        "kind": part.kind,
        "name": name,
        "package": known.package if known else None,
        "version": known.version if known else None,
        "arguments": arguments,
    }


def build(description: Mapping[str, Any]) -> Part:
    """Build a part from :func:`describe`'s mapping, if its class is an installed plugin or already imported.

    A line is logged, once, where another version of the part's package wrote the mapping, and for a deprecated name.

    Raises:
        PluginError: if the class is not installed; names the package to install.
        ConfigurationError: if an argument has another type than in the class's signature, or a name is gone.
    """
    cls = current_class(_resolve(description["kind"], description["name"], description.get("package")))
    decoded = {name: _decode(value) for name, value in description["arguments"].items()}
    arguments = current_arguments(cls, decoded)
    check_arguments(cls.__init__, arguments, cls.__name__)  # type: ignore[misc]
    known = registry.package_of(cls)
    if known is not None and known.package != registry.OWN and description.get("version") not in (None, known.version):
        _log_version(known.name, known.package, str(description["version"]), known.version)
    parameters = list(registry.constructor_parameters(cls).values())
    positional = [arguments.pop(p.name) for p in parameters if p.kind is p.POSITIONAL_ONLY and p.name in arguments]
    try:
        part: Part = cls(*positional, **arguments)
        return part
    except TypeError as error:
        raise PluginError(
            f"{description['name']} cannot be built as it was stored by {description.get('package')}"
            f" {description.get('version')}: {error}; install that version"
        ) from error


def current_terms(description: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a description, of an older version perhaps, in the terms of the installed class.

    Arguments that the description has not have their defaults. As they are where the class is not installed.
    """
    name, given = description["name"], description["arguments"]
    try:
        cls = current_class(_resolve(description["kind"], name, description.get("package")), report=False)
    except PluginError:
        return name, dict(given)
    given = current_arguments(cls, given, report=False)
    missing = {argument: _encode(p.default, name) for argument, p in registry.constructor_parameters(cls).items()
               if argument not in given and p.default is not p.empty}  # fmt: skip
    return cls.__name__, missing | given


@functools.cache  # once for each part
def _log_version(name: str, package: str, stored: str, installed: str) -> None:
    logger.warning(
        "%s was stored by %s %s, and %s is installed: what it computes may differ; for the same, pip install %s==%s",
        name, package, stored, installed, package, stored,
    )  # fmt: skip


def parts_in(description: Any) -> Iterator[Mapping[str, Any]]:
    """A description of :func:`describe`, and those of the parts among its arguments."""
    if isinstance(description, list):
        for item in description:
            yield from parts_in(item)
    elif isinstance(description, Mapping):
        if "package" in description and "arguments" in description:
            yield description
        for item in description.values():
            yield from parts_in(item)


def _resolve(kind: str, name: str, package: str | None) -> type[Part]:
    imported = [cls for cls in _subclasses(Part) if cls.__name__ == name and getattr(cls, "kind", None) == kind]
    if package is None and len(imported) == 1:
        return imported[0]
    try:
        return registry.find(kind, name, package).load()
    except PluginError as error:
        if package is None:
            remedy = f"the class {name} belongs to no package: import the module that defines it first"
        elif shown_package(package) is None:
            remedy = f"the class {name} is said to come from {package!r:.60}, which is no name of a package"
        else:
            remedy = (
                f"the class {name} is said to come from the package {package}: pip install {package}, if you trust it"
            )
        raise PluginError(f"{remedy} ({error})") from error


def _subclasses(cls: type) -> set[type]:
    direct: set[type] = set(cls.__subclasses__())
    return direct.union(*(_subclasses(subclass) for subclass in direct))


def _encode(value: Any, owner: str) -> Any:
    if isinstance(value, Part):
        return {"part": describe(value)}
    if isinstance(value, Dims):
        return {"dims": asdict(value)}
    if isinstance(value, AudioSpec):
        return {"spec": value.to_mapping()}
    if isinstance(value, list | tuple):
        return [_encode(item, owner) for item in value]
    if isinstance(value, Mapping):
        return {"mapping": {str(key): _encode(item, owner) for key, item in value.items()}}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ConfigurationError(
        f"{owner} was made with an argument of type {type(value).__name__}, which a model cannot store;"
        " use numbers, strings, lists, mappings and parts"
    )


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, Mapping):
        ((tag, content),) = value.items()
        if tag == "part":
            return build(content)
        if tag == "dims":
            return Dims(**content)
        if tag == "spec":
            return AudioSpec.from_mapping(content)
        return {key: _decode(item) for key, item in content.items()}
    return value
