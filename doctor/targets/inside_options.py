"""How images and containers are looked at; a file of its own, so that naming it costs no import of what does it."""

from __future__ import annotations

import msgspec


class Inside(msgspec.Struct, frozen=True):
    """Options of ``image:``, ``archive:`` and ``container:`` targets.

    ``platform``: ``os/architecture``, this machine's by default. ``pull``: never, missing or always. ``run``: an
    image's own Python runs the collector, in the sandbox. ``cache``: what was read of the same content before will do.
    ``machine``: look at this machine too. ``plain_http``: registries that may be asked without TLS.
    """

    platform: str | None = None
    pull: str = "never"
    run: bool = False
    cache: bool = True
    offline: bool = False
    progress: bool = True
    machine: bool = True
    plain_http: tuple[str, ...] = ()
