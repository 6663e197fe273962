"""Guidance: output extrapolated away from the source's speaker."""

from torch import Tensor


def extrapolate(made: Tensor, own: Tensor, strength: float) -> Tensor:
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
    """
    extrapolated = made + strength * (made - own)
    mean = extrapolated.mean(-1, keepdim=True)
    deviation, grown = (features.std(-1, correction=0, keepdim=True) for features in (made, extrapolated))
    return mean + (extrapolated - mean) * deviation / grown.clamp_min(1e-5)
