"""How fast, how large and how hungry a pipeline is at its true size: one prepared script."""
