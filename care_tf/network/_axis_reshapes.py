"""What a reshape makes of axes: their atoms dealt out to another shape."""

import tensorflow as tf

from care_tf.network._axes import SIDES, Atom, Axes, Axis, Shape, axis_size, other_axis


def reshaped(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    """Reshape, Squeeze, ExpandDims: the atoms stay in order."""
    source = axes.get(operation.inputs[0].name)
    if not source:
        return None
    asked = tf.get_static_value(operation.inputs[1], partial=True) if operation.type == "Reshape" else None
    inferred = None if asked is None else next((place for place, size in enumerate(asked) if size == -1), None)
    return _regrouped(source, output.shape, inferred)


def _regrouped(source: Axes, shape: Shape, inferred: int | None = None) -> Axes | None:
    """The atoms of some axes dealt out to a new shape, from the right; what is left belongs to unknown sizes.

    Args:
      source: The axes.
      shape: The new shape.
      inferred: The axis whose size a reshape was left to infer, -1.
    """
    atoms = [atom for axis in source for atom in axis if atom.size != 1]
    groups: list[Axis] = [()] * len(shape)
    place = len(shape) - 1
    while place >= 0 and (size := shape[place]) is not None:
        taken = _take(atoms, size)
        if taken is None:
            return None
        groups[place] = taken
        place -= 1
    unknown = [place for place in range(place + 1) if shape[place] != 1]
    if any(shape[place] is not None for place in unknown) or len(atoms) < len(unknown) or (atoms and not unknown):
        return None
    # Of several unknown sizes one takes what is too much: the inferred one, or else the first, the batch. The order of
    # the atoms is right in any case, which is what counts when tokens go into the batch and come out again.
    widest = unknown.index(inferred) if inferred in unknown else 0
    for number, place in enumerate(unknown):
        count = len(atoms) - (len(unknown) - 1 - number) if number == widest else 1
        groups[place], atoms = tuple(atoms[:count]), atoms[count:]
    return tuple(_merged(group) or other_axis(1) for group in groups)


def _merged(axis: Axis) -> Axis:
    """Rows with what lies within each are rows again, finer ones."""
    if len(axis) > 1 and axis[0].kind in SIDES and all(atom.kind == "other" for atom in axis[1:]):
        return (Atom(axis[0].kind, axis_size(axis)),)
    return axis


def _take(atoms: list[Atom], size: int) -> Axis | None:
    """Takes atoms of a product `size` off the end of a list, splitting the last one where it must."""
    taken: list[Atom] = []
    while size > 1:
        atom = atoms.pop() if atoms else None
        if atom is None or atom.size is None:
            return None
        factor = atom.size
        if size % factor:
            if factor % size:
                return None
            # Rows split into 8 x 2: the first part is rows still, coarser ones, the second is what lies within each.
            kind = atom.kind if atom.kind in SIDES else "other"
            atoms.append(Atom(kind, factor // size))
            atom, factor = Atom("other", size), size
        taken.insert(0, atom)
        size //= factor
    return tuple(taken)
