"""Guidance: output extrapolated away from the source's speaker."""

import torch
from torch import Tensor


def extrapolate(made: Tensor, own: Tensor, strength: float, moments: Tensor | None = None) -> Tensor:
    """Extrapolate from the source-speaker output to the target: ``made + strength * (made - own)``, rescaled.

    A generator's output stays closer to the source's speaker than the target is. The two passes share content, f0 and
    reference, so their difference is the effect of the speaker embedding, and amplifying it makes up for what is
    missing. Classifier-free guidance (Ho and Salimans 2022, equation 6) extrapolates a diffusion model's output away
    from the unconditional one in the same way. Each channel is rescaled to the standard deviation over time of
    ``made``, as in Lin et al. 2024 ("Common diffusion noise schedules and sample steps are flawed", section 3.4):
    deviations would grow otherwise.

    Args:
        made: (B, F, T) for the target speaker.
        own: (B, F, T) for the source's own speaker.
        strength: factor of the difference; 0 returns ``made``.
        moments: (B, 5, F, 1 or T) as of :func:`moments_of`, where the frames given are not the whole; None to take
            those of the frames.
    """
    extrapolated = made + strength * (made - own)
    if moments is None:
        mean = extrapolated.mean(-1, keepdim=True)
        deviation, grown = (features.std(-1, correction=0, keepdim=True) for features in (made, extrapolated))
    else:
        mean, deviation, grown = _grown(moments, strength, made)
    return mean + (extrapolated - mean) * deviation / grown.clamp_min(1e-5)


def moments_of(made: Tensor, own: Tensor) -> Tensor:
    """Over time, of each channel, in double precision (B, 5, F): all that :func:`extrapolate` needs at any strength.

    Means of ``made`` and of the difference ``made - own``, their variances, and their covariance.
    """
    made, difference = made.cpu().double(), (made - own).cpu().double()  # not all devices have double precision
    means = made.mean(-1), difference.mean(-1)
    off = made - means[0][..., None], difference - means[1][..., None]
    variances = off[0].square().mean(-1), off[1].square().mean(-1), (off[0] * off[1]).mean(-1)
    return torch.stack([*means, *variances], 1)


def _grown(moments: Tensor, strength: float, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean of the extrapolated, deviation of ``made``, and deviation of the extrapolated."""
    mean, mean_difference, variance, difference, covariance = moments.unbind(1)
    grown = variance + 2 * strength * covariance + strength**2 * difference
    values = mean + strength * mean_difference, variance.clamp_min(0).sqrt(), grown.clamp_min(0).sqrt()
    return tuple(value.to(like.dtype).to(like.device) for value in values)  # type: ignore[return-value]
