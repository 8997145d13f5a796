"""turbo-lab: experiments and regression gates for few-step SDXL-family models."""

__version__ = "0.1.0"
