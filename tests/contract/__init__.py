"""The contract: what users and other programs see of turbo-lab, pinned from outside.

These tests reach turbo-lab only through its installed entry points and through
files, so that they pass for any internal structure. They import no module of
the package, and they change only together with a decision to change what they pin.
"""
