"""From text to phonemes: normalisation, dictionary, letters to sounds, markup."""
