r"""Draw the pictures of the web app for the documentation.

```
python tests/web_screenshots.py --model decor.tflite --pictures decor/ --output docs/
```

The model is one that `retrain` made of class folders like those of `--pictures`, with
its report beside it; `--architecture` as for `edgeclf serve`.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from web_browser import ARGUMENTS, CHROMIUM, DESK, sync_api
from web_server import serving

MOST_BYTES = 150_000  # of a picture in the documentation
CAMERA_SIZE = (640, 480)
TAUGHT = 4  # classes in the project that is shown
EACH = 14  # pictures of each of them
TRAINING_MS = 120_000

Act = Callable[[Any], None]


def main() -> int:
    """Draw all pictures; return the exit status."""
    parser = argparse.ArgumentParser(description="Draw pictures of the web app.")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--pictures", required=True, type=Path, help="class folders")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--architecture", help="of the model that is taught")
    options = parser.parse_args()
    classes = [path for path in sorted(options.pictures.iterdir()) if path.is_dir()]
    samples = [sorted(path.iterdir()) for path in classes]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = folder / "projects" / "Folk art"
        for path, pictures in zip(classes[:TAUGHT], samples[:TAUGHT], strict=True):
            (project / path.name).mkdir(parents=True)
            for picture in pictures[:EACH]:
                shutil.copy(picture, project / path.name)
        camera = folder / "camera.mjpeg"
        camera.write_bytes(video(samples[2][6]))
        arguments = ["--model", options.model, "--teach", project.parent]
        if options.architecture:
            arguments += ["--architecture", options.architecture]
        with serving(*arguments) as server, sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[*ARGUMENTS, f"--use-file-for-fake-video-capture={camera}"],
            )
            draw_all(Artist(browser, server.url, options.output), samples)
            browser.close()
    return 0


class Artist:
    """Opens pages and keeps what they look like.

    Args:
        browser: Playwright's.
        url: Of the server.
        output: Folder of the pictures.
    """

    def __init__(self, browser: Any, url: str, output: Path) -> None:
        self.browser = browser
        self.url = url
        self.output = output

    def draw(self, name: str, path: str, act: Act, **options: Any) -> None:
        """Open a page, do something there, and keep it as `NAME.jpg`."""
        width, height = DESK
        size = {"viewport": {"width": width, "height": height}}
        context = self.browser.new_context(**{**size, **options})
        page = context.new_page()
        page.goto(self.url + path)
        act(page)
        page.mouse.move(0, 0)
        page.wait_for_timeout(600)  # until bars have grown
        target = self.output / f"{name}.jpg"
        for quality in range(88, 30, -6):
            content = page.screenshot(type="jpeg", quality=quality)
            if len(content) < MOST_BYTES:
                break
        target.write_bytes(content)
        context.close()
        print(f"{target} {len(content) / 1000:.0f} kB", file=sys.stderr)  # noqa: T201


def draw_all(artist: Artist, samples: list[list[Path]]) -> None:
    """Draw one picture of each page; `samples` are paths by class."""
    several = [pictures[8] for pictures in samples]

    def predict(page: Any) -> None:
        page.set_input_files("#files", several)
        page.locator("#progress").wait_for(state="hidden")

    def predict_one(page: Any) -> None:
        page.set_input_files("#files", several[3])
        page.locator("#progress").wait_for(state="hidden")
        page.locator(".picture .shown").wait_for()
        page.locator("#toolbar").evaluate("bar => bar.scrollIntoView()")
        page.mouse.wheel(0, -70)

    def live(page: Any) -> None:
        start = page.get_by_role("button", name="Start")
        if start.count():
            start.first.click()
        page.locator(".bars li").first.wait_for()
        page.wait_for_timeout(2500)  # until the labels are steady

    def train(page: Any) -> None:
        page.get_by_role("button", name="Train").first.click()
        download = page.get_by_role("link", name="Download the model")
        download.first.wait_for(timeout=TRAINING_MS)

    phone = {
        "viewport": {"width": 390, "height": 800},
        "device_scale_factor": 1.5,
        "is_mobile": True,
        "has_touch": True,
        "color_scheme": "dark",
    }
    artist.draw("web-predict", "/", predict)
    artist.draw("web-predict-dark-phone", "/", predict_one, **phone)
    artist.draw("web-live", "/live", live)
    artist.draw("web-model", "/model", lambda page: None)
    artist.draw("web-teach", "/teach/Folk%20art", train)


def video(path: Path) -> bytes:
    """Return a film of a picture, for Chromium's camera: JPEGs one after another."""
    with Image.open(path) as image:
        frame = ImageOps.pad(image.convert("RGB"), CAMERA_SIZE, color="white")
    file = io.BytesIO()
    frame.save(file, "JPEG", quality=90)
    return file.getvalue() * 20


if __name__ == "__main__":
    sys.exit(main())
