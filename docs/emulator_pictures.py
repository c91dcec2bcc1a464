"""`python -m docs.emulator_pictures`: take the pictures of the emulator's pages anew, in a headless Chromium."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator.testing import start
from tests.support.chromium import chromium
from tests.support.emulator_client import RUN_JOB
from tests.support.emulator_scene import build

if TYPE_CHECKING:
    from tests.support.emulator_scene import Scene

PICTURES = Path(__file__).resolve().parent / "pictures"
WIDE, NARROW = {"width": 1120, "height": 700}, {"width": 390, "height": 760}
LOADS, RUNS = "Load the warehouse", "Rebuild the index"


def strike(scene: Scene) -> None:
    """Switch two faults on, and let one strike."""
    scene.emulator.fault("status", "runJob", status=503, retry_after=2, times=2)
    scene.emulator.fault("drop", "createJob")
    scene.client.send(RUN_JOB, {"id": scene.emulator.jobs()[LOADS].id})


def main() -> None:
    """Fill an emulator, and take a picture of each page that the docs show."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        emulator = start(Path(folder))
        try:
            scene = build(emulator)
            strike(scene)
            shown = {
                "emulator-job": (scene.job(LOADS), WIDE, "light"),
                "emulator-log": (scene.latest(RUNS).url, WIDE, "dark"),
                "emulator-faults": (f"{emulator.url}/emulator", WIDE, "light"),
                "emulator-narrow": (scene.emulator.jobs()[LOADS].instances[1].url, NARROW, "light"),
            }
            for name, (url, size, scheme) in shown.items():
                with browser.new_context(viewport=size, color_scheme=scheme) as context:
                    page = context.new_page()
                    page.goto(url)
                    page.wait_for_timeout(1_500)  # so that what is live has moved once
                    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
                print(f"docs/pictures/{name}.png  {(PICTURES / f'{name}.png').stat().st_size // 1000} kB")
            scene.client.http.close()
        finally:
            emulator.stop()


if __name__ == "__main__":
    main()
