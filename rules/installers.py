"""Commands that install and remove packages, for the tool and the place in question. Nothing here registers a rule.

What is printed can be pasted: it names the interpreter that was looked at, so that no other environment is changed.
"""

from __future__ import annotations

import re
import shlex

from packaging.utils import canonicalize_name

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.snapshot import Package

PACKAGES = "software.packages"
_TOOLS = ("conda", "uv", "pip")
_EXACT = re.compile(r"===?")
# Their METADATA requires `tensorflow` by that name: beside tensorflow-cpu pip installs a second TensorFlow over it.
_PULLING_TENSORFLOW = frozenset(
    {"tf-keras", "tensorflow-text", "tensorflow-decision-forests", "tensorflow-recommenders", "tf-models-official"}
)


def tool_of(case: Case, package: Package | None, tensorflow: Package | None) -> str:
    """The tool that a package is changed with: ``conda``, ``uv`` or ``pip``.

    The one that installed it, else the one that installed TensorFlow; where neither tells, uv in an environment
    without pip, as uv makes them.
    """
    for one in (package, tensorflow):
        name = known(one.installer) if one is not None else None
        if name in _TOOLS:
            return str(name)
    return "uv" if _without_pip(case) else "pip"


def _without_pip(case: Case) -> bool:
    packages = known(case.software.packages)
    environment = known(case.software.python.environment)
    return bool(packages) and environment == "venv" and not case.is_partial(PACKAGES) and case.package("pip") is None


def install(case: Case, tool: str, requirements: tuple[str, ...], tensorflow: Package | None) -> str:
    """The command that installs these requirements into the environment that was looked at.

    For an image it is the line of its Dockerfile; where a system guards its Python (PEP 668), a new environment with
    TensorFlow in it is made first.
    """
    if tool == "conda":
        words = [quoted(_conda(text)) for text in requirements]
        channel = "-c conda-forge " if any("cud" in text for text in requirements) else ""
        agree = "-y " if case.in_container else ""
        return _line(case, f"conda install {_prefix(case)}{channel}{agree}{' '.join(words)}")
    words = [quoted(text) for text in requirements]
    if tool == "pip" and _guarded(case) and not case.in_container:
        return _in_new_environment(case, requirements, tensorflow)
    alone = " --no-deps" if _pulls_another(case, requirements, tensorflow) else ""
    return _line(case, f"{_python_tool(case, tool)} install{_target(case, tool)}{alone} {' '.join(words)}")


def _pulls_another(case: Case, requirements: tuple[str, ...], tensorflow: Package | None) -> bool:
    """Whether pip would install `tensorflow` for these, over the files of tensorflow-cpu or tf-nightly."""
    if tensorflow is None or case.package("tensorflow") is not None:
        return False
    names = {canonicalize_name(re.split(r"[^\w.-]", text, maxsplit=1)[0]) for text in requirements}
    return bool(names) and names <= _PULLING_TENSORFLOW


def again(case: Case, tool: str, requirements: tuple[str, ...]) -> str:
    """The command that installs what is listed as installed once more: without asking for it, nothing is done."""
    anew = "--reinstall" if tool == "uv" else "--force-reinstall"
    words = " ".join(quoted(text) for text in requirements)
    return _line(case, f"{_python_tool(case, tool)} install{_target(case, tool)} {anew} --no-deps {words}")


def uninstall(case: Case, tool: str, names: list[str]) -> str:
    """The command that removes these packages; nothing is asked."""
    if tool == "conda":
        return _line(case, f"conda remove {_prefix(case)}-y {' '.join(names)}")
    agree = "" if tool == "uv" else " -y"
    return _line(case, f"{_python_tool(case, tool)} uninstall{_target(case, tool)}{agree} {' '.join(names)}")


def replace(case: Case, tool: str, names: list[str], requirements: tuple[str, ...], tensorflow: Package | None) -> str:
    """The command that removes these packages and installs others in their place; a guarded Python is left alone."""
    second = install(case, tool, requirements, tensorflow)
    if tool == "pip" and _guarded(case) and not case.in_container:
        return second
    return f"{uninstall(case, tool, names)} && {second.removeprefix('RUN ')}"


def check(case: Case, tool: str) -> str:
    """The command that looks whether what is installed meets what it declares."""
    return f"uv pip check{_target(case, tool)}" if tool == "uv" else f"{_python_tool(case, 'pip')} check"


def dry(command: str) -> str | None:
    """A command that installs, as a rehearsal; None where it does more than one thing, or is no command of a shell."""
    if command.startswith("RUN ") or " && " in command or " install " not in command:
        return None
    return command.split("  # ", maxsplit=1)[0].replace(" install ", " install --dry-run ", 1)


def quoted(text: str) -> str:
    """A requirement in quotes, as people write it, also where the shell would not need them."""
    return f"'{text}'" if "'" not in text else shlex.quote(text)


def _line(case: Case, command: str) -> str:
    return f"RUN {command}" if case.in_container else command


def _executable(case: Case) -> str | None:
    path = known(case.software.python.executable)
    return shlex.quote(path) if path else None


def _python_tool(case: Case, tool: str) -> str:
    if tool == "uv":
        return "uv pip"
    path = _executable(case)
    return f"{path} -m pip" if path else "pip"


def _target(case: Case, tool: str) -> str:
    path = _executable(case) if tool == "uv" else None
    guard = " --break-system-packages" if tool == "pip" and case.in_container and _guarded(case) else ""
    return f" --python {path}" if path else guard


def _prefix(case: Case) -> str:
    path = known(case.software.python.executable)
    if not path or known(case.software.python.environment) != "conda" or "/bin/" not in path:
        return ""
    return f"-p {shlex.quote(path.rpartition('/bin/')[0] or '/')} "


def _conda(text: str) -> str:
    """A requirement as conda writes it: no extras, one ``=`` for a version and what begins with it."""
    return _EXACT.sub("=", re.sub(r"\[.*?\]", "", text))


def _guarded(case: Case) -> bool:
    return known(case.software.python.externally_managed) is True


def _in_new_environment(case: Case, requirements: tuple[str, ...], tensorflow: Package | None) -> str:
    version = known(tensorflow.version) if tensorflow is not None else None
    named = any(text.startswith("tensorflow") for text in requirements)
    wanted = [f"{tensorflow.name}=={version}"] if tensorflow is not None and version and not named else []
    words = " ".join(quoted(text) for text in (*wanted, *requirements))
    return f"{_executable(case) or 'python3'} -m venv .venv && .venv/bin/python -m pip install {words}"
