"""Draws landscapes: something to classify that needs no photographer.

    python3 scene.py

writes scene.png beside this script.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def scene(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Returns a landscape of sky, sun, hills and trees, another for every seed."""
    random = np.random.RandomState(seed)

    def colour(low: int, high: int) -> tuple[int, ...]:
        return tuple(random.randint(low, high, 3).tolist())

    above, below = np.array(colour(40, 200)), np.array(colour(120, 255))
    share = np.linspace(0, 1, height)[:, None]
    sky = np.broadcast_to((above * (1 - share) + below * share)[:, None], (height, width, 3))
    picture = Image.fromarray(sky.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    x, y, radius = random.randint(0, width), random.randint(0, height // 2), random.randint(8, height // 5)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour(180, 256))
    for layer in range(random.randint(2, 6)):
        base, swing = height * (0.45 + 0.12 * layer), random.uniform(5, 40)
        phase, waves = random.uniform(0, 7), random.uniform(1, 5)
        crest = [(x, base + swing * np.sin(phase + waves * x / width * 2 * np.pi)) for x in range(0, width + 4, 4)]
        ground = colour(20, 190)
        draw.polygon([*crest, (width, height), (0, height)], fill=ground)
        for _ in range(random.randint(0, 12)):
            x, foot = crest[random.randint(len(crest))]
            size = random.uniform(6, 30)
            leaves = tuple(int(part * 0.6) for part in ground)
            draw.polygon([(x - size / 3, foot), (x + size / 3, foot), (x, foot - size)], fill=leaves)
    return picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 1.5)))


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("scene.png")
    scene(2026).save(out, optimize=True)
    print(f"wrote {out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
