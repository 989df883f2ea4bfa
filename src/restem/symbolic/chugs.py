"""A sentence of a guitar in; whether it asks for muted fifths on the low strings, out."""

from __future__ import annotations

import re

from restem.manner import meant

_CHUGS = re.compile(r"\bchugs?\b(?! along)|\bchugging\b(?! along)|\bpalm[- ]?mut(?:e|es|ed|ing)\b")
# What else a muted hand may play; an acoustic guitar and a funk guitar do not chug.
_OTHER = re.compile(
    r"arpeggi|\barps?\b|\b(?:broken|picked|plucked|barre|open) chords?\b|\bpicking\b|"
    r"\bfinger|\btravis\b|\bsingle\b|\bone note at a time\b|\bmelod|\blead\b|\bsolo|\blines?\b|"
    r"\blicks?\b|\boctaves\b|\bstrum|\bskank|\bstabs?\b|\bdouble[- ]stops?\b|\btriads?\b|"
    r"\bfunk|\breggae\b|\bacoustic\b|\bclean\b"
)


def is_chugged(own: str) -> bool:
    """Whether words in lower case, of this guitar alone, ask for chugs and name nothing else."""
    return bool(meant(_CHUGS, own)) and not meant(_OTHER, own)
