"""What is built, cleared and changed: models in loops, and models after ``compile``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager

from doctor.project.scripts.graph import contains
from doctor.project.scripts.state import Loop, Run
from doctor.project.scripts.values import Layer, Layers, Model, Value


@contextmanager
def loop(run: Run, node: ast.AST) -> Iterator[None]:
    """Within: the body of a loop; at its end models that were built and trained in it are noted."""
    mine = Loop(node, len(run.frames))
    run.loops.append(mine)
    try:
        yield
    finally:
        run.loops.pop()
    if mine.cleared or (run.loops and any(outer.frame == mine.frame for outer in run.loops)):
        return  # an outer loop of the same function speaks for it
    if run.loops:
        return
    for model, place in mine.built:
        if id(model) in mine.trained and not model.kept:
            run.note("model-in-loop", place, loop_line=run.place(node)["line"])
            return


def built(run: Run, model: Model, node: ast.AST, *, random: bool) -> None:
    """A model was built here; ``random``: with weights that are drawn, not loaded."""
    run.models.append(model)
    model.branch = run.branch
    if random and run.reached:
        run.last_model = run.tick()
        model.order = run.last_model
        run.first_model = run.first_model or (run.last_model, node)
    for one in run.loops:
        place = run.frames[one.frame - 1].statement if one.frame <= len(run.frames) else None
        one.built.append((model, place if place is not None and len(run.frames) > one.frame else node))


def cleared(run: Run) -> None:
    """The session was cleared; after a loop that speaks for the models built in it, too."""
    for one in run.loops:
        one.cleared = True
    if not run.loops:
        run.facts = [fact for fact in run.facts if fact["what"] != "model-in-loop"]


def trained(run: Run, model: Value) -> None:
    """A model was trained: a change after ``compile`` takes no effect now."""
    for one in run.loops:
        one.trained.add(id(model))
    for node, more, order in run.late:
        if run.last_model < order or (isinstance(model, Model) and model.order and model.order < order):
            run.note("seed-late", node, **more)
    if isinstance(model, Model):
        if model.change is not None and not (model.change_own and model.used_in):
            run.note("changed-after-compile", model.change, change=model.change_what)
        model.change = None


def changed(run: Run, owner: Value, target: ast.Attribute, value: Value) -> None:
    """An attribute that ``compile`` looks at was set on a model, a layer, or some layers of a model."""
    part = owner.model if isinstance(owner, Layers) else owner
    if not isinstance(part, (Model, Layer)):
        return
    for model in run.models:
        if model.compiled and model.change is None and (model is part or contains(model, part)):
            model.change = target
            model.change_what = target.attr
            model.change_own = model is part and not isinstance(owner, Layers)


def restructured(run: Run, model: Model, node: ast.AST, what: str) -> None:
    """A layer was added to a model or taken from it."""
    if model.compiled and model.change is None:
        model.change, model.change_what, model.change_own = node, what, False
