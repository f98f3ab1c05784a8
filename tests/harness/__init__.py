"""All Python that drives the real program: tests/account, tests/interop, tests/bench and cross/ import it from here.

`tests/python` runs them with the root of the project on Python's path.
"""
