"""Named tuples that operations with several results return."""


def _make(name, fields):
    """A subclass of tuple whose items have names, and PyTorch's text."""

    def __repr__(self):
        items = ",\n".join(f"{f}={v!r}" for f, v in zip(fields, self))
        return f"torch.return_types.{name}(\n{items})"

    body = {"__slots__": (), "__repr__": __repr__, "__module__": "torch.return_types"}
    for i, field in enumerate(fields):
        body[field] = property(lambda self, i=i: self[i])
    return globals().setdefault(name, type(name, (tuple,), body))
