"""Calls of modules with other parameters than their own."""

from contextlib import contextmanager

from .. import _wengert

__all__ = ["functional_call", "stack_module_state"]


def functional_call(
    module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """Calls `module` with the given tensors in place of its parameters and buffers of these names.

    Parameters that are one tensor under several names are replaced together, unless
    `tie_weights=False`. Raises RuntimeError with `strict` if names are missing or unknown,
    ValueError for dictionaries that share a key.
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, dict):
        if not all(isinstance(part, dict) for part in given):
            raise ValueError(
                "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
            )
        names = [name for part in given for name in part]
        repeated = [n for n in dict.fromkeys(names) if names.count(n) > 1]
        if repeated:
            raise ValueError(
                f"{repeated} appeared in multiple dictionaries; behavior of functional call is "
                "ambiguous"
            )
        given = {name: t for part in given for name, t in part.items()}
    known = _named(module)
    if strict:
        _check_names(given, known)
    if tie_weights:
        given = _tied(given, known)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given):
        return module(*args, **(kwargs or {}))


def _named(module):
    """All tensors of a module by name, several names for one included."""
    found = dict(module.named_parameters(remove_duplicate=False))
    if hasattr(module, "named_buffers"):
        found.update(module.named_buffers(remove_duplicate=False))
    return found


def _check_names(given, known):
    missing = [n for n in known if n not in given]
    unknown = [n for n in given if n not in known]
    if missing or unknown:
        parts = []
        if unknown:
            parts.append(f"Unexpected key(s): {', '.join(unknown)}.")
        if missing:
            parts.append(f"Missing key(s): {', '.join(missing)}.")
        raise RuntimeError("Error(s) in reparametrizing:\n\t" + "\n\t".join(parts))


def _tied(given, known):
    out = dict(given)
    for name, t in given.items():
        for other, same in known.items():
            if other not in given and name in known and same is known[name]:
                out[other] = t
    return out


@contextmanager
def _replaced(module, tensors):
    """The module with other tensors, for a while."""
    undo = []
    try:
        for name, t in tensors.items():
            *path, last = name.split(".")
            owner = module
            for part in path:
                owner = getattr(owner, part)
            undo.append(_swap(owner, last, t))
        yield
    finally:
        for put_back in reversed(undo):
            put_back()


def _swap(owner, name, t):
    """Puts `t` where the module keeps the tensor; returns what puts the old one back."""
    for where in ("_parameters", "_buffers"):
        shelf = owner.__dict__.get(where, {})
        if name in shelf:
            old, shelf[name] = shelf[name], t
            return lambda: shelf.__setitem__(name, old)
    old = getattr(owner, name)
    object.__setattr__(owner, name, t)
    return lambda: object.__setattr__(owner, name, old)


def stack_module_state(models):
    """Parameters and buffers of several models of one kind, stacked along a new first dimension.

    Raises RuntimeError for no models, and for models that differ in kind or mode.
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(named):
        columns = [dict(named(m)) for m in models]
        return {name: _stack([c[name] for c in columns]) for name in columns[0]}

    return stacked(lambda m: m.named_parameters()), stacked(lambda m: m.named_buffers())


def _stack(tensors):
    whole = _wengert.stack([t.detach() for t in tensors])
    return whole.requires_grad_(all(t.requires_grad for t in tensors))
