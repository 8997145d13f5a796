"""Pure numbers: statistics, similarity of images, latency fits, Pareto fronts."""
