"""Predictions of listeners' ratings by models of hearing."""

from pathlib import Path

from lightning_voiceclone.core.interfaces import MetricSource
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.metrics.waveform import parallel_pair
from lightning_voiceclone.utils.optional import file_sha256, need, package_version

RATE = 16000  # of all three models


def _check_rate(case: Case) -> None:
    if case.sample_rate != RATE:
        raise RecordingError(f"audio is at {case.sample_rate} Hz, but this metric needs {RATE} Hz; resample it")


class PESQ(Metric):
    """Perceptual evaluation of speech quality, wide band (ITU-T P.862.2), by the package pesq.

    Against the parallel recording; undefined without one. MOS-LQO, from about 1.04 to 4.64 (a perfect copy); higher
    is better. The package contains the ITU's code, with terms of its own, so it is optional.
    """

    name = "pesq_wb"
    unit = "MOS-LQO"
    higher_is_better = True
    best = 4.644

    def __init__(self) -> None:
        super().__init__()
        self._pesq = need("pesq", "pesq").pesq

    @property
    def source(self) -> MetricSource:
        """The implementation."""
        return MetricSource("PESQ (ITU-T P.862.2), package pesq", package_version("pesq"))

    def score(self, case: Case) -> float:
        """MOS-LQO."""
        _check_rate(case)
        parallel, clone = (audio.float().numpy() for audio in parallel_pair(case))
        try:
            return float(self._pesq(RATE, parallel, clone, "wb"))
        except Exception as error:  # the package's own kinds: no utterance found, too short
            raise RecordingError(f"PESQ failed: {' '.join(str(error).split())}") from error


class STOI(Metric):
    """Short-time objective intelligibility (Taal et al. 2011), by the package pystoi.

    Against the parallel recording; undefined without one. From about 0 to 1 (a perfect copy); higher is better.
    """

    name = "stoi"
    unit = "share"
    higher_is_better = True
    best = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._stoi = need("pystoi").stoi

    @property
    def source(self) -> MetricSource:
        """The implementation."""
        return MetricSource("STOI, package pystoi", package_version("pystoi"))

    def score(self, case: Case) -> float:
        """STOI."""
        import warnings

        parallel, clone = (audio.numpy() for audio in parallel_pair(case))
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # it warns, and returns 1e-5, for too little speech
            try:
                return float(self._stoi(parallel, clone, case.sample_rate))
            except (RuntimeWarning, ValueError) as error:
                raise RecordingError(f"STOI failed: {' '.join(str(error).split())[:120]}") from error


class DNSMOS(Metric):
    """Overall quality, predicted by a network from the clone alone (DNSMOS P.835, Reddy et al. 2022).

    By the package speechmos, which contains the weights. Mean over windows of 9 s; shorter clones are repeated.
    MOS from 1 to 5; higher is better. Trained on noisy calls: sensitive to noise and roughness, not to words or voices.
    """

    name = "dnsmos_ovrl"
    unit = "MOS"
    higher_is_better = True
    best = 5.0

    def __init__(self) -> None:
        super().__init__()
        module = need("speechmos.dnsmos")
        import onnxruntime

        folder = Path(str(module.__file__)).parent / "dnsmos_models"
        self._sha256 = file_sha256(folder / "sig_bak_ovr.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # cases are measured in parallel processes
        # The package's constructor would use every core for each session.
        self._model = object.__new__(module.DNSMOS)
        self._model.onnx_sess = onnxruntime.InferenceSession(folder / "sig_bak_ovr.onnx", options)
        self._model.p808_onnx_sess = onnxruntime.InferenceSession(folder / "model_v8.onnx", options)

    @property
    def source(self) -> MetricSource:
        """The network."""
        return MetricSource("DNSMOS P.835 (speechmos)", package_version("speechmos"), self._sha256)

    def score(self, case: Case) -> float:
        """Overall MOS."""
        _check_rate(case)
        audio = case.clone.float().clamp(-1, 1).numpy()
        return float(self._model(audio, RATE, False)["ovrl_mos"])
