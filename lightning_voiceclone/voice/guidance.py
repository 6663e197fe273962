"""Guidance: output extrapolated away from the source's speaker."""

from torch import Tensor


def extrapolate(made: Tensor, own: Tensor, strength: float) -> Tensor:
    """Features made + strength * (made - own), rescaled so that each channel keeps the deviation over time of ``made``.

    A generator's output stays closer to the source's speaker than the target is. The two passes have content, f0 and
    reference in common, so that their difference is the effect of the speaker embedding, and more of it makes up for
    what is missing. Classifier-free guidance (Ho and Salimans 2022, equation 6) extrapolates a diffusion model's output
    away from that without a condition in the same way. Rescaling is as in Lin et al. 2024 ("Common diffusion noise
    schedules and sample steps are flawed", section 3.4): deviations would grow otherwise.

    Args:
        made: (B, F, T) for the target speaker.
        own: (B, F, T) for the source's own.
        strength: of the difference; 0 is ``made``.
    """
    led = made + strength * (made - own)
    middle = led.mean(-1, keepdim=True)
    deviation, grown = (features.std(-1, correction=0, keepdim=True) for features in (made, led))
    return middle + (led - middle) * deviation / grown.clamp_min(1e-5)
