"""Train a small multilayer perceptron to read handwritten digits, with tensors and backward() only.

    python examples/digits_mlp.py [loss.png]

The 1,797 digits of 8 x 8 pixels come with scikit-learn. Under a minute on any machine; the same
script trains the same network under PyTorch (`import torch`).
"""

import sys

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import wengert as torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EPOCHS, BATCH, RATE, MOMENTUM = 40, 64, 0.05, 0.9
SIZES = (64, 96, 48, 10)


def data():
    """Pixels, scaled to 0..1, and labels: of three quarters to train on, of a quarter to test."""
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    return train_test_split(pixels, digits.target, test_size=0.25, random_state=0)


def new_parameters():
    """A weight and a bias per layer, scaled so that the signal keeps its size through relu."""
    parameters = []
    for inputs, outputs in zip(SIZES, SIZES[1:]):
        weight = torch.randn(inputs, outputs) * (2 / inputs) ** 0.5
        parameters += [weight.requires_grad_(), torch.zeros(outputs, requires_grad=True)]
    return parameters


def logits(x, parameters):
    """The network: linear layers with relu between them."""
    *hidden, weight, bias = parameters
    for w, b in zip(hidden[::2], hidden[1::2]):
        x = (x @ w + b).relu()
    return x @ weight + bias


def cross_entropy(scores, labels):
    """Mean negative log-probability of the right digit."""
    one_hot = (labels.unsqueeze(1) == torch.arange(SIZES[-1])).float()
    return -(scores.log_softmax(1) * one_hot).sum(1).mean()


def train(pixels, labels, parameters):
    """Stochastic gradient descent with momentum; returns the loss of every step."""
    losses = []
    velocities = [torch.zeros_like(p) for p in parameters]
    progress = tqdm(range(EPOCHS), desc="training")
    for epoch in progress:
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = torch.randperm(len(pixels)).numpy()
        x, y = torch.from_numpy(pixels[order]), torch.from_numpy(labels[order])
        for start in range(0, len(x) - BATCH + 1, BATCH):
            batch = slice(start, start + BATCH)
            loss = cross_entropy(logits(x[batch], parameters), y[batch])
            loss.backward()
            with torch.no_grad():
                for p, v in zip(parameters, velocities):
                    v.mul_(MOMENTUM).add_(p.grad)
                    p.sub_(v * float(rate))
                    p.grad = None
            losses.append(loss.item())
        progress.set_postfix(loss=f"{losses[-1]:.4f}")
    return losses


def accuracy(pixels, labels, parameters):
    """The share of digits read correctly."""
    with torch.no_grad():
        read = logits(torch.from_numpy(pixels), parameters).argmax(1)
        return (read == torch.from_numpy(labels)).float().mean().item()


def save_plot(losses, path):
    """Loss against step, on a logarithmic scale, with a running mean over it."""
    window = 20
    mean = np.convolve(losses, np.ones(window) / window, mode="valid")
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.semilogy(losses, color="0.8", label="each step")
    axes.semilogy(np.arange(len(mean)) + window // 2, mean, label=f"mean of {window}")
    axes.set(xlabel="step", ylabel="cross-entropy", title="A perceptron learns to read digits")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    torch.manual_seed(0)
    pixels, test_pixels, labels, test_labels = data()
    parameters = new_parameters()
    losses = train(pixels, labels, parameters)
    save_plot(losses, sys.argv[1] if len(sys.argv) > 1 else "digits_loss.png")
    print(f"training accuracy: {accuracy(pixels, labels, parameters):.2%}")
    print(f"test accuracy: {accuracy(test_pixels, test_labels, parameters):.2%}")


if __name__ == "__main__":
    main()
