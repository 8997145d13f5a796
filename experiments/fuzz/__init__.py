"""A fuzzer for the command line: random words and damaged files, in one process.

``python -m experiments.fuzz`` runs it. A command may succeed or refuse its input; it must
not crash, hang, print what is not its result, or leave a file half written.
"""
