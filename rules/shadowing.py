"""A file that takes the place of a package which TensorFlow imports."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from doctor.model.facts import applies, known, need
from doctor.model.report import Evidence, Location
from doctor.rule import Case, Finding, Severity, rule

from .cuda import SNAPSHOT
from .proof import evidence

EFFECT = "Python takes the file for the package: module '{}' has no attribute …, or cannot import name … from '{}'"


@rule("KD312", "module-shadowed", Severity.ERROR, would_help=SNAPSHOT)
def module_shadowed(case: Case) -> Iterator[Finding]:
    """A file has the name of a package that TensorFlow imports, and is found first.

    Python looks into the folder of the script that it starts before all others, and into those of PYTHONPATH before
    site-packages: a `tensorflow.py`, `keras.py` or `numpy.py` there is what `import` takes, for TensorFlow itself too.

    ## Why is this bad?
    "module 'tensorflow' has no attribute 'keras'", "cannot import name … from 'numpy'": nothing in the message says
    that the environment is sound.

    ## How to fix
    Rename the file, and delete the `__pycache__` beside it.

    ## References
    docs.python.org, `sys.path` initialization.
    """
    scripts, shadowed = known(case.project.scripts), known(case.software.shadowed)
    if scripts is None and shadowed is None:
        need(case.software.shadowed)
    applies(bool(scripts or shadowed is not None), "the project has no script that uses TensorFlow or Keras")
    for row in shadowed or ():
        path = known(row.path) or f"{row.module}.py"
        yield Finding(
            f"{path} is imported as {row.module}, before the package of that name",
            effect=EFFECT.format(row.module, row.module),
            fix=f"rename {path}, or take its folder off PYTHONPATH",
            verify=f'python -c "import {row.module}; print({row.module}.__file__)"',
            evidence=evidence(case, "software.environment.PYTHONPATH"),
            likely=0.96,
            thing=row.module,
        )
    seen: set[str] = set()
    for script in scripts or ():
        for path in script.get("beside") or ():
            if not isinstance(path, str) or path in seen:
                continue
            seen.add(path)
            module = posixpath.basename(path).removesuffix(".py")
            yield Finding(
                f"{path} takes the place of {module} for {script.get('path')}, which stands beside it",
                effect=EFFECT.format(module, module),
                fix=f"rename {path}, and delete the __pycache__ beside it",
                verify="kdoctor scan --select KD312",
                evidence=(Evidence("project.scripts", {"beside": path}, "file"),),
                location=Location(path),
                likely=0.96,
                thing=module,
            )
