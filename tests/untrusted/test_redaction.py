"""What is taken out of texts that are written or printed."""

from __future__ import annotations

import pytest

from turbo_lab.untrusted.redaction import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://me:s3cret@host:5000/ failed", "http://host:5000/ failed"),
        ("https://t0ken@host", "https://host"),
        ("postgresql+psycopg://me:p@ss@db/lab", "postgresql+psycopg://db/lab"),
        ("tracking.uri=http://me:a,b=c@host: no", "tracking.uri=http://host: no"),
        ("http://h/?a=1&api_key=abc&password=x y", "http://h/?a=1&api_key=***&password=*** y"),
        ("lora=https://host/a.safetensors@0.8", "lora=https://host/a.safetensors@0.8"),
        ("write to me@example.org", "write to me@example.org"),
    ],
)
def test_credentials_of_addresses_are_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize("text", ["?key" * 50_000, "&token" * 50_000, "://" * 50_000])
def test_a_long_text_of_a_server_does_not_hang(text: str) -> None:
    assert redact(text) == text
