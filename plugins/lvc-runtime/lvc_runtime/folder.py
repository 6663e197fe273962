"""An exported folder: its description, constants and graphs, each checked by its hash."""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime

from lvc_runtime.chunks import Array
from lvc_runtime.errors import RuntimeFailure

DESCRIPTION = "export.json"
CONSTANTS = "constants.npz"
FORMAT = 3  # 3 where a vocoder takes f0, or has 8 bits by blocks, which need ONNX Runtime 1.23
GREATEST_BYTES = 1 << 31  # of a file; what is larger is not read
FIELDS = {"format", "version", "spec", "pitch", "energy", "parts", "contexts", "needs", "guidance", "files",
          "model_sha256", "card"}  # fmt: skip


class Graph:
    """A part as an ONNX graph: a function of named arrays.

    Args:
        session: of ONNX Runtime.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.outputs = [output.name for output in session.get_outputs()]
        self.inputs = [given.name for given in session.get_inputs()]

    def __call__(self, **given: np.ndarray) -> dict[str, Array]:
        """Outputs by name; of the arrays given only those that the graph takes are used."""
        feed = {name: np.ascontiguousarray(given[name]) for name in self.inputs}
        return dict(zip(self.outputs, self._session.run(self.outputs, feed), strict=True))


class Folder:
    """What ``lvc export`` wrote. Graphs are loaded at once, each by a thread of its own, and waited for when used.

    Args:
        path: of the folder.
        threads: that a graph computes with; None for as many as there are cores.

    Raises:
        RuntimeFailure: if it is no such folder, is of a newer format, or a file is missing or was altered. Of a graph
            that is raised when it is first used.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        self.path = Path(path)
        self.description = self._described()
        self._threads = threads or 0
        pool = ThreadPoolExecutor(len(self.description["files"]))
        self._graphs: dict[str, Future[Graph]] = {
            name.removesuffix(".onnx"): pool.submit(self._graph, name)
            for name in self.description["files"] if name.endswith(".onnx")
        }  # fmt: skip
        pool.shutdown(wait=False)
        self.constants = self._constants()

    def graph(self, name: str) -> Graph:
        """The graph of that name.

        Raises:
            RuntimeFailure: if it is missing, was altered, or cannot be run here.
        """
        return self._graphs[name].result()

    @property
    def names(self) -> list[str]:
        """Names of the graphs."""
        return sorted(self._graphs)

    def _described(self) -> dict[str, Any]:
        where = self.path / DESCRIPTION
        if not where.is_file():
            raise RuntimeFailure(
                f"{self.path} is no folder of `lvc export` (it has no {DESCRIPTION}); make one with it"
            )
        try:
            described = json.loads(where.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            raise RuntimeFailure(f"{where} cannot be read ({_in_one_line(error)}); run `lvc export` again") from error
        if not isinstance(described, dict) or not isinstance(described.get("format"), int):
            raise RuntimeFailure(f"{where} describes no export; run `lvc export` again")
        if not 1 <= described["format"] <= FORMAT:
            raise RuntimeFailure(f"{where} has format {described['format']}, this version reads 1 to {FORMAT};"
                                 " update lvc-runtime, or run `lvc export` again")  # fmt: skip
        files = described.get("files")
        if lacking := sorted(FIELDS - described.keys()):
            raise RuntimeFailure(f"{where} lacks {', '.join(lacking)}; run `lvc export` again")
        if not isinstance(files, dict) or any(Path(name).name != name for name in files):
            raise RuntimeFailure(f"{where} names files outside its folder; run `lvc export` again")
        return cast(dict[str, Any], described)

    def _read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            RuntimeFailure: if it is missing or its hash differs from the description's.
        """
        where = self.path / name
        try:
            if where.stat().st_size > GREATEST_BYTES:
                raise RuntimeFailure(f"{where} is larger than any export ({where.stat().st_size} bytes)")
            content = where.read_bytes()
        except OSError as error:
            raise RuntimeFailure(f"{where} cannot be read ({error.strerror}); run `lvc export` again") from error
        if hashlib.sha256(content).hexdigest() != self.description["files"].get(name):
            raise RuntimeFailure(f"{where} was altered since `lvc export` wrote it: its hash differs; export it again")
        return content

    def _graph(self, name: str) -> Graph:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        # Further ones make the graphs that ship no faster, and loading takes a quarter longer.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the core
        try:
            return Graph(onnxruntime.InferenceSession(self._read(name), options, providers=["CPUExecutionProvider"]))
        except RuntimeFailure:
            raise
        except Exception as error:
            raise RuntimeFailure(
                f"{self.path / name} cannot be run by onnxruntime {onnxruntime.__version__} ({_in_one_line(error)});"
                " update onnxruntime, or export again"
            ) from error

    def _constants(self) -> Mapping[str, Array]:
        try:
            with np.load(io.BytesIO(self._read(CONSTANTS)), allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (ValueError, OSError, KeyError) as error:
            raise RuntimeFailure(f"{self.path / CONSTANTS} cannot be read ({_in_one_line(error)})") from error


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
