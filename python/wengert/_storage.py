"""The memory behind tensors as an object: for sharing, pickle and copy."""

from __future__ import annotations

from . import _wengert
from ._types import device
from ._wengert import Tensor

# Storage objects in use, by address: one object stands for one piece of memory, so deepcopy sees
# what tensors share.
_known: dict = {}


class UntypedStorage:
    """The bytes that one tensor or several lie in.

    >>> x = torch.ones(4)
    >>> x[1:].untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    True
    """

    __slots__ = ("__weakref__", "_bytes")
    __module__ = "torch.storage"

    def __init__(self, size: int = 0):
        self._bytes = _wengert.empty(size, dtype=_wengert.uint8)

    @staticmethod
    def _over(whole: Tensor) -> UntypedStorage:
        storage = object.__new__(UntypedStorage)
        storage._bytes = whole
        return storage

    @staticmethod
    def _of(tensor: Tensor) -> UntypedStorage:
        import weakref

        whole = _wengert._storage_bytes(tensor)
        address = whole.data_ptr()
        found = _known.get(address)
        storage = found() if found is not None else None
        if storage is None:
            storage = UntypedStorage._over(whole)
            if address:
                _known[address] = weakref.ref(storage, lambda _: _known.pop(address, None))
        return storage

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._bytes.data_ptr()

    def nbytes(self) -> int:
        """How many bytes there are."""
        return self._bytes.numel()

    size = __len__ = nbytes

    def element_size(self) -> int:
        """Bytes of one element: a byte."""
        return 1

    def tolist(self) -> list:
        """The bytes as ints."""
        return self._bytes.tolist()

    @property
    def device(self) -> device:
        """Where the memory is."""
        return self._bytes.device

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and self.data_ptr() == other.data_ptr()

    __hash__ = object.__hash__

    def __getitem__(self, index):
        item = self._bytes[index]
        return item if isinstance(index, slice) else item.item()

    def __setitem__(self, index, value) -> None:
        self._bytes[index] = value

    def __deepcopy__(self, memo) -> UntypedStorage:
        if id(self) not in memo:
            memo[id(self)] = UntypedStorage._over(self._bytes.clone())
        return memo[id(self)]

    def __reduce__(self):
        return _restore, (memoryview(self._bytes).tobytes() if self.nbytes() else b"",)


def _restore(raw: bytes) -> UntypedStorage:
    storage = UntypedStorage(len(raw))
    if raw:
        memoryview(storage._bytes)[:] = raw
    return storage


def untyped_storage(self) -> UntypedStorage:
    """The memory this tensor lies in, maybe with others.

    >>> torch.ones(2, 3).untyped_storage().nbytes()
    24
    """
    return UntypedStorage._of(self)


def _rebuild(cls, storage, dtype: str, offset: int, size, stride, requires_grad: bool, state):
    """A tensor as it was pickled."""
    kind = getattr(_wengert, dtype)
    t = _wengert._over_storage(storage._bytes, kind, offset, tuple(size), tuple(stride))
    if cls is not None:
        t = _wengert._as_subclass(t, cls, False)
    if requires_grad:
        t.requires_grad_()
    if state:
        t.__dict__.update(state)
    return t


def _parts(self, storage) -> tuple:
    # Our own classes go by the name of PyTorch's, which is not where they can be found.
    cls = None if type(self) is Tensor else type(self)
    return (
        cls, storage, repr(self.dtype).removeprefix("torch."), self.storage_offset(),
        tuple(self.shape), self.stride(), self.requires_grad,
    )  # fmt: skip


def __reduce_ex__(self, protocol):
    # As PyTorch's, a pickle holds the memory of each tensor by itself.
    storage = UntypedStorage._over(_wengert._storage_bytes(self.detach()))
    return _rebuild, (*_parts(self, storage), dict(self.__dict__))


def __deepcopy__(self, memo):
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    if id(self) in memo:
        return memo[id(self)]
    import copy

    storage = UntypedStorage._of(self.detach())
    # The copy of the memory is found in the memo as long as the original lives.
    memo.setdefault(id(memo), []).append(storage)
    new = _rebuild(*_parts(self, copy.deepcopy(storage, memo)), state=None)
    memo[id(self)] = new
    if self.grad is not None:
        new.grad = copy.deepcopy(self.grad, memo)
    if self.__dict__:
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return new


for _f in (untyped_storage, __reduce_ex__, __deepcopy__):
    _f.__qualname__ = f"Tensor.{_f.__name__}"
    setattr(Tensor, _f.__name__, _f)
