"""Infotext: the ``parameters`` text of an image, as A1111, Forge and CivitAI write and read it.

Owns the text's form (``text``), its prompt syntax (``prompt``), the names of samplers
(``samplers``), what turbo-lab writes (``write``) and the config keys that a text means (``read``).
Pure text: finds no files.
"""

from turbo_lab.infotext.read import InfotextKeys, LoraTag, keys_of
from turbo_lab.infotext.text import Infotext, is_infotext
from turbo_lab.infotext.write import DrawnImage, infotext_of

__all__ = [
    "DrawnImage",
    "Infotext",
    "InfotextKeys",
    "LoraTag",
    "infotext_of",
    "is_infotext",
    "keys_of",
]
