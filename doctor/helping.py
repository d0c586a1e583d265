"""What would bring a fact that a rule lacked: a command, by the place of the fact in a snapshot."""

from __future__ import annotations

from doctor.model.facts import NOT_KNOWN, Unknown

PROJECT = "kdoctor scan, in the folder of the project"
MACHINE = "kdoctor snapshot, run on the machine itself, then kdoctor check --machine node.json"
SOFTWARE = "kdoctor scan --python PATH/TO/python"

# The first beginning that fits decides; "" stands for what the rule itself says.
_BRINGS = (
    ("project.images.", ""),  # a registry's answer
    ("project.", PROJECT),
    ("software.requested", PROJECT),
    ("software.tensorflow.observed", "kdoctor scan --try"),
    ("software.image", ""),
    ("software.", SOFTWARE),
    ("machine.", MACHINE),
    ("container.", "kdoctor scan --target container:NAME"),
)


def would_help(unknown: Unknown, own: str | None) -> str | None:
    """A command that brings the fact; ``own``: what the rule says that brings its facts.

    A fact that was looked for in vain (its reason is another than that nobody knows it) is the rule's to speak of.
    """
    fitting = next((command for start, command in _BRINGS if unknown.path.startswith(start)), "")
    return (fitting or own if unknown.why.startswith(NOT_KNOWN) else own or fitting) or None
