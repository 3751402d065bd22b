"""`vmap`: a function of one example as a function of many at once."""

import functools

from .. import _wengert
from .._pytree import Spec, flatten, unflatten
from .._wengert import Tensor

__all__ = ["vmap"]


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """A function that calls `func` for all examples along a dimension of its arguments.

    `in_dims` says which dimension (None: the argument is the same for all examples), `out_dims`
    where it goes in the results. Raises ValueError for dimensions that do not fit, RuntimeError
    for random numbers inside unless `randomness` is "same" or "different".

    >>> torch.vmap(torch.dot)(torch.ones(2, 3), torch.ones(2, 3))
    tensor([3., 3.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        name = getattr(func, "__name__", repr(func))
        leaves, spec = flatten(args)
        dims = _in_dims(in_dims, args, leaves, spec, name)
        size = _size(leaves, dims, args, in_dims, name)
        run = functools.partial(_run, func, spec, out_dims, randomness, name, kwargs)
        if chunk_size is None or chunk_size >= size:
            return run(leaves, dims, size)
        return _in_chunks(run, leaves, dims, size, chunk_size, out_dims)

    return wrapped


def _spread(dims, spec):
    """A number or a prefix of the form as one entry per leaf, or None if it does not fit."""
    if spec.kind is None:
        return [dims] if dims is None or isinstance(dims, int) else None
    if dims is None or isinstance(dims, int):
        return [dims] * len(spec)
    if type(dims) is tuple and spec.kind is tuple and len(dims) == len(spec) == len(spec.parts):
        if all(d is None or isinstance(d, int) for d in dims):
            return list(dims)
    if type(dims) is not spec.kind and not (type(dims) is tuple and spec.kind is tuple):
        return None
    if spec.keys is not None:
        if sorted(map(str, dims)) != sorted(map(str, spec.keys)):
            return None
        parts = [dims[k] for k in spec.keys]
    else:
        parts = list(dims)
    if len(parts) != len(spec.parts):
        return None
    found = [_spread(part, sub) for part, sub in zip(parts, spec.parts)]
    return None if None in found else [d for part in found for d in part]


def _in_dims(in_dims, args, leaves, spec, name):
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a "
            f"(potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}."
        )
    if not leaves:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    if len(leaves) == len(args) and isinstance(in_dims, int):
        dims = [in_dims] * len(args)
    else:
        dims = _spread(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the "
            f"structure of `inputs`. in_dims has structure {flatten(in_dims)[1]!r} but inputs has "
            f"structure {spec!r}."
        )
    return [_in_dim(t, d, in_dims, name) for t, d in zip(leaves, dims)]


def _in_dim(t, dim, in_dims, name):
    where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for"
    if dim is None:
        return None
    if not isinstance(t, Tensor):
        raise ValueError(
            f"{where} an input but the input is of type {type(t)}. We cannot vmap over non-Tensor "
            "arguments, please use None as the respective in_dim"
        )
    if not -t.dim() <= dim < t.dim():
        raise ValueError(
            f"{where} some input, but that input is a Tensor of dimensionality {t.dim()} so "
            f"expected in_dim to satisfy -{t.dim()} <= in_dim < {t.dim()}."
        )
    return dim % t.dim()


def _size(leaves, dims, args, in_dims, name):
    sizes = [t.shape[d] for t, d in zip(leaves, dims) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(s != sizes[0] for s in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]


def _run(func, spec, out_dims, randomness, name, kwargs, leaves, dims, size):
    level = _wengert._vmap_enter(size, randomness)
    _wengert._transforms(1)
    try:
        args = [t if d is None else _wengert._vmap_split(t, d, level) for t, d in zip(leaves, dims)]
        result = func(*unflatten(args, spec), **kwargs)
        outputs, form = flatten(result)
        places = _out_dims(out_dims, form, name)
        for out in outputs:
            if not isinstance(out, Tensor):
                raise ValueError(
                    f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(out)}. "
                    "Did you mean to set out_dims= to None for output?"
                )
        joined = [_out(t, d, level, name) for t, d in zip(outputs, places)]
        return unflatten(joined, form)
    finally:
        _wengert._transforms(-1)
        _wengert._vmap_exit()


def _out(t, dim, level, name):
    if dim is None:
        if _wengert._is_batched(t, level):
            raise ValueError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return t
    return _wengert._vmap_join(t, dim, level)


def _out_dims(out_dims, form, name):
    for dim in flatten(out_dims)[0]:
        if not (dim is None or isinstance(dim, int)):
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a "
                "python collection of ints representing where in the outputs the vmapped dimension "
                "should appear."
            )
    dims = _spread(out_dims, form)
    # A tuple of one dimension fits a single result.
    if dims is None and isinstance(out_dims, tuple) and len(out_dims) == 1 and form == Spec():
        dims = list(out_dims)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with "
            f"the structure of `outputs`. out_dims has structure {flatten(out_dims)[1]!r} but "
            f"outputs has structure {form!r}."
        )
    return dims


def _in_chunks(run, leaves, dims, size, chunk, out_dims):
    """The same in parts of the batch, put together again."""
    parts, form = [], None
    for start in range(0, size, chunk):
        count = min(chunk, size - start)
        piece = [t if d is None else t.narrow(d, start, count) for t, d in zip(leaves, dims)]
        outputs, form = flatten(run(piece, dims, count))
        parts.append(outputs)
    places = _spread(out_dims, form) or list(out_dims)
    columns = zip(zip(*parts), places)
    joined = [_wengert.cat(list(column), d) for column, d in columns]  # type: ignore
    return unflatten(joined, form)
