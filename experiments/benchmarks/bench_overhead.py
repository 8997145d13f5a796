"""What the timing lane itself costs a sample: the latency of a call that does nothing.

python -m experiments.benchmarks.bench_overhead [--samples 20000]
"""

from __future__ import annotations

import argparse

from turbo_lab.runtime.timing import TimingRule, measure_call


def main() -> None:
    """Print one Markdown row, microseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000)
    samples = parser.parse_args().samples
    rule = TimingRule("empty", 1, 9.0, 1, 1.0, samples, 0.0)
    found = measure_call(lambda: None, rule).latency_s
    print("| samples | p50, us | p90, us | p99, us |\n| --- | --- | --- | --- |")
    micros = (1e6 * (value or 0.0) for value in (found.p50, found.p90, found.p99))
    print(f"| {samples} | " + " | ".join(f"{value:.2f}" for value in micros) + " |")


if __name__ == "__main__":
    main()
