"""The part that runs on torch: pipelines, noise, sampling, timing. Imported lazily from above."""

from __future__ import annotations

import logging

# Where torchao is installed, importing diffusers logs three lines about torchao's own affairs: two
# enums of its that torch deprecates, and tensor classes that it has moved. All load; none is news.
_KNOWN = ("is an Enum subclass and is now natively", "Unable to import `torchao` Tensor objects")


def _is_news(entry: logging.LogRecord) -> bool:
    return not any(known in entry.getMessage() for known in _KNOWN)


for _name in ("torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    logging.getLogger(_name).addFilter(_is_news)
