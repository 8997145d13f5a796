"""Reading what other people wrote: names that stay in their folder, files that are regular."""
