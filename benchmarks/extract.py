"""Measure extraction: speed against its ceiling and a plain script, memory, no-op time, size.

    python benchmarks/extract.py            everything, about 8 minutes on 2 cores
    python benchmarks/extract.py speed memory noop size --rounds 3

Everything that is compared runs in one session, in turns, and is quoted as a
ratio: absolute figures belong to the machine. Needs the extra `demo`.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

BACKBONE = "bundled/efficientnet_lite0"
BATCH = 32
SPEED_IMAGES = 1024
MEMORY_IMAGES = 512
NOOP_FILES = 20_000


def elpv_images(count: int) -> list[Path]:
    """Paths of `count` solar-cell pictures, 300 × 300 pixels, 8-bit grey."""
    package = find_spec("elpv_dataset")
    if package is None or package.submodule_search_locations is None:
        sys.exit("the pictures are missing: pip install 'embedcache[demo]'")
    folder = Path(package.submodule_search_locations[0]) / "data" / "images"
    return sorted(folder.glob("*.png"))[:count]


def link_folder(target: Path, paths: list[Path], copies: int = 1) -> Path:
    """A folder with `copies` different pictures of each path; beyond one, bytes are appended."""
    target.mkdir(parents=True)
    for path in paths:
        for copy in range(copies):
            name = target / f"{path.stem}-{copy}.png"
            # Trailing bytes after a PNG's end are ignored by decoders, and change the digest.
            name.write_bytes(path.read_bytes() + bytes([copy]) * (copy > 0))
    return target


def run_extract(source: Path, cache: Path, *flags: str) -> tuple[dict[str, object], float, int]:
    """Run the command; its result, its wall time in seconds, its peak memory in bytes."""
    command = [sys.executable, "-m", "embedcache", "extract", str(source), "--json"]
    command += ["--backbone", BACKBONE, "--cache-dir", str(cache), *flags]
    # The child's own peak, not that of all children so far.
    script = (
        "import json, resource, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024\n"
        "print(json.dumps([json.loads(done.stdout), time.perf_counter() - started, peak]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], stdout=subprocess.PIPE, check=True
    )
    result, seconds, peak = json.loads(done.stdout)
    return result, seconds, peak


def ceiling_rate() -> float:
    """Images per second of the forward pass alone, as extraction runs it."""
    from embedcache.backbones.base import BackboneRequest
    from embedcache.backbones.load import load_backbone
    from embedcache.inputs.golden import texture

    backbone = load_backbone(BackboneRequest(BACKBONE), device="cpu", batch_size=BATCH)
    batch = np.broadcast_to(texture(224, 224), (BATCH, 224, 224, 3)).copy()
    backbone.submit(batch).result()
    passes = 12
    started = time.perf_counter()
    for _ in range(passes):
        backbone.submit(batch).result()
    return BATCH * passes / (time.perf_counter() - started)


def plain_rate(folder: Path) -> float:
    """Images per second of the script that people write: DataLoader, float32, model as it comes."""
    import timm
    import torch
    from PIL import Image

    model = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))

    class Pictures(torch.utils.data.Dataset[torch.Tensor]):
        def __init__(self) -> None:
            self.paths = sorted(folder.glob("*.png"))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> torch.Tensor:
            with Image.open(self.paths[index]) as image:
                return transform(image.convert("RGB"))

    loader = torch.utils.data.DataLoader(Pictures(), batch_size=BATCH, num_workers=2)
    started = time.perf_counter()
    with torch.inference_mode():
        features = [model(batch).numpy() for batch in loader]
    seconds = time.perf_counter() - started
    return sum(map(len, features)) / seconds


def stage_rate(result: dict[str, object]) -> float:
    """Images per second while the backbone worked: start-up and loading left out."""
    timings = result["timings"]
    assert isinstance(timings, dict)
    embedded = result["embedded"]
    assert isinstance(embedded, int)
    return embedded / (timings["forward"] + timings["wait"] + timings["write"])


def speed(rounds: int) -> None:
    """Compare extraction with its ceiling and with the plain script."""
    ceilings, plains, extracts, walls = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        source = link_folder(Path(folder) / "pictures", elpv_images(SPEED_IMAGES))
        for number in range(rounds):
            ceilings.append(ceiling_rate())
            result, _, _ = run_extract(source, Path(folder) / f"cache{number}", "--device", "cpu")
            extracts.append(stage_rate(result))
            walls.append(result["embedded"] / result["seconds"])  # type: ignore[operator]  # JSON numbers
            plains.append(plain_rate(source))
    print(f"speed, {SPEED_IMAGES} pictures, {BACKBONE}, float32, CPU, {rounds} rounds in turns")
    for name, rates in (
        ("forward only (ceiling)", ceilings),
        ("extract, embedding", extracts),
        ("extract, whole command", walls),
        ("plain PyTorch DataLoader script", plains),
    ):
        each = ", ".join(f"{rate:.1f}" for rate in rates)
        print(f"  {name:<34}{statistics.median(rates):7.1f} images/s   ({each})")
    for name, rates in (("embedding", extracts), ("whole command", walls)):
        to_ceiling = statistics.median(a / b for a, b in zip(rates, ceilings, strict=True))
        to_plain = statistics.median(a / b for a, b in zip(rates, plains, strict=True))
        print(f"  {name}: {to_ceiling:.2f} of the ceiling, {to_plain:.2f} × the plain script")


def memory() -> None:
    """Peak memory at N and at 4 N."""
    peaks = []
    for copies in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            paths = elpv_images(MEMORY_IMAGES)
            source = link_folder(Path(folder) / "pictures", paths, copies)
            _, _, peak = run_extract(source, Path(folder) / "cache", "--device", "cpu")
            peaks.append(peak)
    sizes = f"{MEMORY_IMAGES:,} and {4 * MEMORY_IMAGES:,}"
    mib = " and ".join(f"{peak / 2**20:,.0f} MiB" for peak in peaks)
    print(f"peak memory at {sizes} pictures: {mib}, ratio {peaks[1] / peaks[0]:.2f}")


def noop() -> None:
    """Time of a second extract over many unchanged files."""
    from PIL import Image

    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "pictures"
        for index in range(NOOP_FILES):
            place = source / f"class{index % 10}"
            place.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            pixels = generator.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(buffer, "PNG")
            (place / f"{index:06d}.png").write_bytes(buffer.getvalue())
        cache = Path(folder) / "cache"
        time.sleep(2.5)  # younger entries of the files index are not believed
        _, first, _ = run_extract(source, cache, "--image-size", "32", "--device", "cpu")
        times = []
        for _ in range(3):
            result, seconds, peak = run_extract(source, cache, "--image-size", "32")
            assert result["embedded"] == 0, result
            times.append(seconds)
        each = ", ".join(f"{seconds:.2f}" for seconds in times)
        print(f"no-op extract over {NOOP_FILES:,} files: {statistics.median(times):.2f} s ({each})")
        print(f"  peak memory {peak / 2**20:,.0f} MiB; the first extract took {first:.0f} s")


def size() -> None:
    """Bytes on disk per image."""
    with tempfile.TemporaryDirectory() as folder:
        source = link_folder(Path(folder) / "pictures", elpv_images(2624))
        result, _, _ = run_extract(source, Path(folder) / "cache", "--device", "cpu")
    rows, total = result["rows"], result["bytes"]
    assert isinstance(rows, int)
    assert isinstance(total, int)
    print(f"size: {total:,} bytes for {rows:,} images, {total / rows:,.0f} an image")


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]  # there is one
    parser.add_argument("parts", nargs="*", help="speed, memory, noop, size; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    parts = arguments.parts or ["speed", "memory", "noop", "size"]
    if "speed" in parts:
        speed(arguments.rounds)
    if "memory" in parts:
        memory()
    if "noop" in parts:
        noop()
    if "size" in parts:
        size()


if __name__ == "__main__":
    main()
