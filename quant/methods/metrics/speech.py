"""Speech and audio: waveforms compared with a reference."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from quant.errors import InputMismatch
from quant.methods.metrics.base import MetricBase, SampleSums, Values
from quant.outcome.task_figures import LOG_SPECTRAL_DISTANCE, SI_SNR, TaskFigure

Waveform = NDArray[np.float64]
"""The samples of a waveform, shape (time,)."""
EXACT_DB = 200.0
"""The largest SI-SNR in dB: that of equal waveforms."""
FLOOR = 1e-10
"""The least power of a spectral line relative to the loudest one of the reference: -100 dB."""


class Speech(MetricBase):
    """SI-SNR and log-spectral distance of waveforms; targets are the clean waveforms."""

    figures: ClassVar[tuple[TaskFigure, ...]] = (SI_SNR, LOG_SPECTRAL_DISTANCE)
    name: Literal["speech"] = "speech"
    frame: int = Field(default=512, ge=16, le=65536)
    """The length of a frame of the log-spectral distance, in samples of the waveform; frames overlap by half."""

    def decode(self, outputs: Sequence[NDArray[Any]]) -> Waveform:
        """Return the waveform."""
        return outputs[0].astype(np.float64).reshape(-1)

    def target(self, values: NDArray[Any]) -> Waveform:
        """Return the clean waveform."""
        return values.astype(np.float64).reshape(-1)

    def scorer(self) -> "WaveformErrors":
        """Return a scorer without samples."""
        return WaveformErrors(self.frame)


class WaveformErrors(SampleSums):
    """A row holds 1, the SI-SNR and the log-spectral distance of one waveform."""

    def __init__(self, frame: int) -> None:
        super().__init__()
        self._frame = frame

    def row(self, prediction: Waveform, reference: Waveform) -> Sequence[float]:
        """Return the row of one waveform.

        Raises:
            InputMismatch: the waveforms differ in length.
        """
        if prediction.shape != reference.shape:
            raise InputMismatch(
                f"metric speech: a target has {reference.size} samples; accepted: {prediction.size}, as the output"
            )
        return 1, si_snr_db(prediction, reference), log_spectral_distance(prediction, reference, self._frame)

    def figures_of(self, sums: NDArray[np.float64]) -> Values:
        """Return the means over the waveforms."""
        return {SI_SNR.name: sums[:, 1] / sums[:, 0], LOG_SPECTRAL_DISTANCE.name: sums[:, 2] / sums[:, 0]}


def si_snr_db(estimate: Waveform, reference: Waveform) -> float:
    """Return the scale-invariant signal-to-noise ratio in dB, within -200 and 200 (Le Roux et al., 2019).

    The means are removed. With a = <x, s> / <s, s>, it is 10 log10(|a s|^2 / |x - a s|^2).
    """
    x, s = estimate - estimate.mean(), reference - reference.mean()
    target = (x @ s) / max(s @ s, np.finfo(np.float64).tiny) * s
    noise, signal = float((x - target) @ (x - target)), float(target @ target)
    if noise == 0:
        return EXACT_DB
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -EXACT_DB, EXACT_DB))


def log_spectral_distance(estimate: Waveform, reference: Waveform, frame: int) -> float:
    """Return the log-spectral distance in dB (Gray and Markel, 1976).

    It is the mean over the frames of the root mean square over the lines of 10 log10(P / P'), with the power spectra of
    Hann windows. Lines below -100 dB of the loudest line of the reference are raised to this floor.
    """
    expected = _power(reference, frame)
    floor = max(FLOOR * float(expected.max()), np.finfo(np.float64).tiny)
    difference = 10 * np.log10(np.maximum(_power(estimate, frame), floor) / np.maximum(expected, floor))
    return float(np.sqrt((difference**2).mean(axis=1)).mean())


def _power(waveform: Waveform, frame: int) -> NDArray[np.float64]:
    """Return the power spectra of frames, shape (frames, lines); a shorter waveform is padded with zeros."""
    hop = frame // 2
    length = max(frame, frame + -(-(len(waveform) - frame) // hop) * hop)
    padded = np.pad(waveform, (0, length - len(waveform)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop]
    power: NDArray[np.float64] = np.abs(np.fft.rfft(frames * np.hanning(frame + 1)[:-1], axis=1)) ** 2
    return power
