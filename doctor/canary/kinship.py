"""Which canaries measure alike, so that records stay comparable for years.

Two records may be compared where one payload made both (its code's hash is in each record), or where their payloads are
of one version and both are listed here. A payload that was changed without changing what it measures is added to its
version after it was seen to give identical records; every other change raises the version, and with that refuses
earlier records. A test holds the present payload to this list, so neither happens unnoticed.
"""

from __future__ import annotations

import hashlib
import io
import tokenize

from doctor.canary.record import Canary

_LAYOUT_TOKENS = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER)

# Canary version to the hashes of its payloads' code (see `source_hash`), the newest last.
ALIKE: dict[int, tuple[str, ...]] = {
    1: ("8378683a1703f6b26e88e39a38d0976b483ff05db8cc7944614e552f89dba97d",),
}


def alike(a: Canary, b: Canary) -> bool:
    """Whether two canaries of one version measure the same; an unknown hash is alike to itself only."""
    listed = ALIKE.get(a.version, ())
    return a.version == b.version and (a.sha256 == b.sha256 or (a.sha256 in listed and b.sha256 in listed))


def source_hash(source: str) -> str:
    """SHA-256 over the payload's code: comments, docstrings and blank lines do not make another canary."""
    kept: list[str] = []
    start_of_statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            kept.append(tokenize.tok_name[token.type])
            start_of_statement = True
        elif token.type in _LAYOUT_TOKENS:
            start_of_statement = start_of_statement or token.type == tokenize.NEWLINE
        elif token.type == tokenize.STRING and start_of_statement:
            continue  # a docstring
        else:
            kept.append(token.string)
            start_of_statement = False
    return hashlib.sha256("\0".join(kept).encode()).hexdigest()
