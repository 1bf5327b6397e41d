"""TorchScript modules that access a file when they are called, or already when they are loaded."""

import io

import torch

SIZE = 24


class ReadsWhenCalled(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_file(self.path, False, 24, dtype=torch.uint8)


class WritesWhenCalled(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, self.path)
        return x


class ReadsWhenLoaded(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.kept = torch.zeros(1)

    @torch.jit.export
    def __getstate__(self):
        return self.path

    @torch.jit.export
    def __setstate__(self, path: str):
        self.path = path
        self.kept = torch.from_file(path, False, 24, dtype=torch.uint8)
        self.training = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kept


class WritesWhenLoaded(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self):
        return self.path

    @torch.jit.export
    def __setstate__(self, path: str):
        self.path = path
        torch.save(torch.ones(1), path)
        self.training = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


HOSTILE = (ReadsWhenCalled, WritesWhenCalled, ReadsWhenLoaded, WritesWhenLoaded)


def archive(kind: type[torch.nn.Module], path: str) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(kind(path)), buffer)
    return buffer.getvalue()
