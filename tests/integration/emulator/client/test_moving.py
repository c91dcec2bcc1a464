"""A job moves to another project, on its platform or on another, and is complete there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.exceptions import SaagieApiError, SaagieNotFound
from tests.support.clients import client_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_saagie.emulator.testing import Emulator

FAR = 7


def test_job_moves_within_a_platform_and_to_another(start_emulator: Callable[..., Emulator], script: Path) -> None:
    emulator = start_emulator("--platform", str(FAR))
    emulator.begin(["Demo", "target"])
    demo, near, far = emulator.projects["Demo"], emulator.projects["target"], emulator.on(FAR).projects["target"]
    with client_for(emulator) as client, client_for(emulator.on(FAR)) as far_client:
        job_id = client.jobs.create(
            "moves", demo, str(script), "goes places", runtime_version="3.11", command_line="python {file}",
            release_note="first", resources={"memory": {"limit": 1.0}}, cron_scheduling="0 0 1 1 *",
        )["data"]["createJob"]["id"]  # fmt: skip
        client.jobs.upgrade(job_id, release_note="second")

        with pytest.raises(SaagieApiError, match="moveJob") as caught:  # it is scheduled
            client.jobs.move_job(job_id, emulator.platform, near)
        assert caught.value.messages
        client.jobs.edit(job_id, is_scheduled=False)
        for platform, project in ((emulator.platform, demo), (99, near)):
            with pytest.raises(SaagieApiError, match="moveJob"):
                client.jobs.move_job(job_id, platform, project)
        before = client.jobs.get_info(job_id)["job"]

        moved = client.jobs.move_job(job_id, emulator.platform, near)["moveJob"]
        moved_again = client.jobs.move_job(moved, FAR, far)["moveJob"]
        for gone in (job_id, moved):
            with pytest.raises(SaagieNotFound):
                client.jobs.get_info(gone)
        after = far_client.jobs.get_info(moved_again)["job"]
        for field in ("name", "description", "category", "technology", "resources", "isScheduled"):
            assert after[field] == before[field], field  # type: ignore[literal-required]
        kept = ("number", "runtimeVersion", "commandLine", "releaseNote", "isCurrent")
        assert [[version[field] for field in kept] for version in after["versions"]] == [  # type: ignore[literal-required]
            [version[field] for field in kept]
            for version in before["versions"]  # type: ignore[literal-required]
        ]
        for version in after["versions"]:
            assert version["packageInfo"]
            copy = b"".join(far_client.session.download(version["packageInfo"]["downloadUrl"]))
            assert copy == script.read_bytes()
        assert far_client.jobs.run(moved_again)["runJob"]["id"]
