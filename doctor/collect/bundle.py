"""One file for a node where nothing is installed: `kdoctor snapshot --print-probe | ssh node python3 - > node.json`.

The collectors keep their own name spaces: each travels as a list of its lines, readable for whoever wants to know what
is run on the node, and becomes a module there. Nothing of the file is generated but the quoting.
"""

from __future__ import annotations

from importlib import resources

from doctor import __version__

# module's name on the node, package, file
PARTS = (
    ("software", "doctor.collect", "software.py"),
    ("machine", "doctor.collect", "machine.py"),
    ("nvml", "doctor.payloads", "nvml.py"),
    ("engine", "doctor.payloads", "engine.py"),
    ("probe", "doctor.payloads", "probe.py"),
)

_HEAD = """\
# The probe of kdoctor %(version)s: what this node and its Python are made of, as one JSON document on stdout.
# It reads files, asks the NVIDIA driver (libnvidia-ml) and a local container engine's socket, and does nothing else:
# nothing is installed, written or sent anywhere. CPython 3.6 or later, standard library only. Usage: python3 - < this
import sys

if sys.version_info < (3, 6):
    sys.exit("kdoctor's probe needs Python 3.6 or later on the node; this is " + sys.version.split()[0])

sys.dont_write_bytecode = True


def _module(name, lines):
    module = type(sys)("kdoctor_" + name)
    sys.modules[module.__name__] = module
    code = compile("\\n".join(lines), "<kdoctor " + name + ">", "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module

"""

_TAIL = """
sys.exit(_probe.main(_software, _machine, _nvml, _engine))
"""


def print_probe() -> str:
    """The probe's text: ASCII, parsed by any Python, run by CPython 3.6 and later."""
    text = _HEAD % {"version": __version__}
    for name, package, file in PARTS:
        source = resources.files(package).joinpath(file).read_text(encoding="utf-8")
        quoted = "".join(f"    {line!a},\n" for line in source.splitlines())
        text += f"\n_{name} = _module({name!r}, [\n{quoted}])\n"
    return text + _TAIL
