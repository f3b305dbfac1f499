"""PyTorch on the same models, for the program that measures GPUs.

    python3 torch_rival.py [--cpu] [--quick]

Prints one JSON object per line: {"what": "gemm", "size": 4096, "dtype": "f32",
"tflops": …} and {"what": "resnet50", "dtype": "f32", "batch": 8, "way": "eager",
"ms": …}, in milliseconds from tensors in the host's memory to answers there, the
median of many calls. TF32 is off, so that f32 means the same for all.
"""

import argparse
import json
import statistics
import sys
import time

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit("PyTorch is not installed for this Python")

BATCHES = (1, 8, 32)


class Bottleneck(nn.Module):
    def __init__(self, channels, inner, stride):
        super().__init__()
        out = inner * 4
        self.convs = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, 1), nn.ReLU(),
            nn.Conv2d(inner, out, 1),
        )
        same = channels == out and stride == 1
        self.beside = nn.Identity() if same else nn.Conv2d(channels, out, 1, stride)

    def forward(self, x):
        return torch.relu(self.convs(x) + self.beside(x))


def resnet50():
    layers = [nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            layers.append(Bottleneck(channels, 64 << stage, 2 if block == 0 and stage else 1))
            channels = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class Inverted(nn.Module):
    def __init__(self, channels, out, widening, stride):
        super().__init__()
        inner = channels * widening
        layers = [nn.Conv2d(channels, inner, 1), nn.ReLU6()] if widening > 1 else []
        layers += [nn.Conv2d(inner, inner, 3, stride, 1, groups=inner), nn.ReLU6(), nn.Conv2d(inner, out, 1)]
        self.layers = nn.Sequential(*layers)
        self.adds = channels == out and stride == 1

    def forward(self, x):
        y = self.layers(x)
        return x + y if self.adds else y


def mobilenet_v2():
    layers, channels = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU6()], 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for widening, out, blocks, first in stages:
        for block in range(blocks):
            layers.append(Inverted(channels, out, widening, 1 if block else first))
            channels = out
    layers += [nn.Conv2d(channels, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers)


def encoder(width, heads, norm_first):
    return nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first
    )


class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(30522, 768)
        self.parts = nn.Embedding(2, 768)
        self.places = nn.Parameter(torch.zeros(1, 128, 768))
        self.norm = nn.LayerNorm(768)
        self.layers = nn.ModuleList(encoder(768, 12, False) for _ in range(12))

    def forward(self, words, mask, parts):
        x = self.norm(self.words(words) + self.parts(parts) + self.places)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=mask == 0)
        return x


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 384, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, 384))
        self.places = nn.Parameter(torch.zeros(1, 197, 384))
        self.layers = nn.ModuleList(encoder(384, 6, True) for _ in range(12))
        self.norm = nn.LayerNorm(384)
        self.head = nn.Linear(384, 1000)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])


MODELS = {"resnet50": resnet50, "mobilenet_v2": mobilenet_v2, "bert": Bert, "vit": Vit}


def inputs(name, batch, dtype):
    if name == "bert":
        shape = (batch, 128)
        return [torch.randint(50, shape), torch.ones(shape, dtype=torch.int64), torch.randint(2, shape)]
    return [torch.rand(batch, 3, 224, 224).to(dtype)]


def median_ms(work, seconds):
    for _ in range(3):
        work()
    times, started = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e3


def say(**line):
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description="PyTorch on the models that samara measures.")
    parser.add_argument("--cpu", action="store_true", help="for a machine without a GPU")
    parser.add_argument("--quick", action="store_true", help="little of everything, to see that it runs")
    arguments = parser.parse_args()
    device = "cpu" if arguments.cpu else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU here")
    seconds = 0.1 if arguments.quick else 1.0
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    where = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    say(what="torch", version=torch.__version__, device=where)

    def finish():
        if device == "cuda":
            torch.cuda.synchronize()

    for size in (256,) if arguments.quick else (256, 1024, 2048, 4096, 8192):
        for label, dtype in (("f32", torch.float32), ("f16", torch.float16)):
            a, b = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
            repeats = 1 if arguments.quick else 10

            def work():
                for _ in range(repeats):
                    a @ b
                finish()

            say(what="gemm", size=size, dtype=label, tflops=2 * size**3 * repeats / median_ms(work, seconds) / 1e9)

    for name, make in MODELS.items():
        for label, dtype in (("f32", torch.float32), ("f16", torch.float16)):
            if arguments.quick and label == "f16":
                continue
            model = make().to(device=device, dtype=dtype).eval()
            for way in ("eager",) if arguments.quick else ("eager", "compile"):
                call = model if way == "eager" else torch.compile(model)
                for batch in (1,) if arguments.quick else BATCHES:
                    given = inputs(name, batch, dtype)

                    def work():
                        call(*(tensor.to(device) for tensor in given)).cpu()

                    with torch.inference_mode():
                        say(what=name, dtype=label, batch=batch, way=way, ms=median_ms(work, seconds))


main()
