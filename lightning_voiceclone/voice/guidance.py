"""Leading a clone on, beyond what its generator makes by itself."""

from torch import Tensor


def extrapolate(made: Tensor, own: Tensor, strength: float) -> Tensor:
    """Features made + strength * (made - own), of which each channel's deviation over time is that of ``made``.

    A generator falls short of the voice that it is told, on the side of the one that it hears. Where both passes say
    the same, in the same melody, and look up in the same reference, their difference is what the speaker's embedding
    does, and more of it makes up for what is missing. Classifier-free guidance (Ho and Salimans 2022, equation 6) leads
    a diffusion model away from what it makes without a condition in the same way; and as there (Lin et al. 2024,
    "Common diffusion noise schedules and sample steps are flawed", section 3.4), deviations would grow otherwise.

    Args:
        made: (B, F, T) for the speaker who is to speak.
        own: (B, F, T) for the source's own.
        strength: of the difference; 0 is ``made``.
    """
    led = made + strength * (made - own)
    middle = led.mean(-1, keepdim=True)
    deviation, grown = (features.std(-1, correction=0, keepdim=True) for features in (made, led))
    return middle + (led - middle) * deviation / grown.clamp_min(1e-5)
