"""Automatic differentiation in one sitting: build an expression, ask for its derivatives, look.

Every line runs unchanged under PyTorch (`import torch`) and prints the same text.
"""

import wengert as torch


def echo(*values):
    """Print a tuple as a notebook cell ending in `x, x.shape` shows it."""
    shown = [repr(value).replace("\n", "\n ") for value in values]
    line = ", ".join(shown)
    print("(" + (line if "\n" not in line and len(line) <= 77 else ",\n ".join(shown)) + ")")


# --- 1. Two tensors that want gradients, and an expression of them -------------------------------
x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = torch.tensor([[4.0], [5.0]], requires_grad=True)
print(x)
print(y)
print(x.shape, y.shape, x.is_leaf, x.grad)

# [3] and [2, 1] broadcast to [2, 3]; every operation is recorded as it runs.
z = x * y + y**2
z.retain_grad()  # z is no leaf: without this its gradient would be dropped on the way
print(z)
print(z.shape, z.is_leaf, z.requires_grad)
print(z.grad_fn.name(), [node.name() for node, _ in z.grad_fn.next_functions])

# --- 2. Backward: one number in, the derivative with respect to every leaf out -------------------
s = z.sum()
print(s)
s.backward()
print(x.grad)  # dx: y summed over its rows
print(y.grad)  # dy: the sum of (x + 2 y) over the columns
print(z.grad)  # dz: ones
echo(x, x.shape)
echo(x.grad, x.grad.shape)
echo(y.grad, y.grad.shape)
echo(z, z.grad, z.grad.shape)

# --- 3. Gradients add up until they are cleared --------------------------------------------------
(x * 10).sum().backward()
print("added:", x.grad)
x.grad.zero_()
print("zeroed:", x.grad)
x.grad = None
(x**3).mean().backward()
print("fresh:", x.grad)

# --- 4. Not recording ----------------------------------------------------------------------------
with torch.no_grad():
    w = x * 2
print(w, w.requires_grad)
d = z.detach()  # the same numbers, without the history
print(d, d.requires_grad, d.grad_fn)

# --- 5. Derivatives as values, and derivatives of derivatives ------------------------------------
t = torch.tensor(0.5, requires_grad=True)
f = torch.sin(t) * torch.exp(t)
(f1,) = torch.autograd.grad(f, t, create_graph=True)  # recorded, so it can be derived again
(f2,) = torch.autograd.grad(f1, t)
print(f)
print(f1)
print(f2)
print(f"f = {f.item():.6f}, f' = {f1.item():.6f}, f'' = {f2.item():.6f}")
print("by hand:", (f2 - 2 * torch.cos(t) * torch.exp(t)).abs().item() < 1e-6)

# --- 6. A hook sees a gradient on its way, and may change it -------------------------------------
v = torch.arange(4.0, requires_grad=True)
u = v * v
handle = u.register_hook(lambda g: print("passing u:", g))
v.register_hook(lambda g: g.clamp(max=3.0))
u.sum().backward()
print("clamped:", v.grad)
handle.remove()

# --- 7. What cannot be derived is refused, not computed wrongly ----------------------------------
a = torch.ones(3, requires_grad=True)
b = a.exp()  # exp remembers its result: that is its derivative
loss = b.sum()
b.mul_(2)
try:
    loss.backward()
except RuntimeError as error:
    print(str(error).split(". ")[0])
try:
    a += 1
except RuntimeError as error:
    print(str(error).split(". ")[0])
