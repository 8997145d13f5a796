"""What runs on torch: pipelines, noise, sampling, timing. Imported lazily from above."""
