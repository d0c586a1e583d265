"""``kdoctor canary``: the seeded Dense training, alone or held against a record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from doctor.cli.options import Flags, shared
from doctor.cli.options_inside import Cache, Platform, Pull, inside


@shared
def canary(
    flags: Flags,
    target: Annotated[str, typer.Argument(help="Where to run it.", show_default=False)] = "host",
    seeds: Annotated[int, typer.Option(help="Trainings that accuracy is taken from.", min=2, max=512)] = 16,
    runs: Annotated[int, typer.Option(help="Run so often, and say whether results vary.", min=1, max=100)] = 1,
    thorough: Annotated[bool, typer.Option("--thorough", help="Every way of training, whole epochs.")] = False,
    device: Annotated[str, typer.Option(help="cpu or gpu.")] = "cpu",
    nondeterministic: Annotated[bool, typer.Option("--nondeterministic", help="Op determinism off.")] = False,
    against: Annotated[
        Optional[Path],  # noqa: UP045 -- typer reads the annotation at run time
        typer.Option(help="Compare with this record or reference.", metavar="FILE"),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one run may take.", min=1)] = 300.0,
    platform: Platform = None,
    pull: Pull = None,
    cache: Cache = None,
) -> None:
    """Train a small seeded model, and say whether its environment computes what another one did."""
    import os

    from doctor.canary.present import Bar, areas
    from doctor.canary.record_file import load_record, save_record
    from doctor.canary.report import judged
    from doctor.canary.runs import Options, run_with, runner_for, settle
    from doctor.cli.session import Session
    from doctor.errors import UsageError
    from doctor.targets.words import parse

    if device not in ("cpu", "gpu"):
        raise UsageError(f"--device {device}: it is cpu or gpu")
    output = flags.pop("output")  # of this command it is the record, not the report
    flags.update(platform=platform, pull=pull, cache=cache)
    session = Session.open(flags)
    reference = load_record(against) if against is not None else None
    options = Options(seeds, runs, thorough, device, not nondeterministic, timeout)
    how = inside(session.settings, "missing")
    runner = runner_for(
        parse(target), os.environ, Path.cwd(), session.settings.python, how, gpus=options.device == "gpu"
    )
    session.header = (runner.name,)
    drift = None
    with Bar("canary", session.settings.progress) as bar:
        if reference is None:
            record = run_with(runner, options, progress=bar)
        else:
            saved, most = reference, len(reference.seeds)
            _, record, drift = settle(lambda _: saved, lambda n: run_with(runner, options, n, bar), seeds, most)
        repeats = [run_with(runner, options, len(record.seeds), bar) for _ in range(runs - 1)]
    if output is not None:
        save_record(record, Path(output))
    session.canaries = {runner.name: record}
    session.finish(
        **judged(record, repeats, runner.name, session.settings, reference=reference, drift=drift),
        head=areas(record, repeats, drift, str(against)),
    )
