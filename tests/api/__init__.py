"""Tests of turbo_lab.api."""
