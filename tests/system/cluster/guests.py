"""Others who use Saagie beside the tasks: a person, a schedule, and whoever deletes what is done."""

from __future__ import annotations

from contextlib import suppress

import requests

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.emulator.login import Gate
from airflow_provider_saagie.emulator.settings import Settings
from scripts.stack import PLATFORM, REALM, SAAGIE_LOGIN
from tests.system.cluster.scene import Scene

PERSON = "marie"
# The local Saagie takes a sixth field, for the second: a start falls into most windows of the tasks.
EVERY_TEN_SECONDS = "* * * * * */10"


def act(scene: Scene, guest: str, job_id: str) -> bool:
    """Do what a guest does to a job.

    :param guest: "person" starts it, "schedule" starts it again and again, "deletes" deletes what was started.
    :return: whether it could be done; else it is tried again.
    """
    match guest:
        case "person":
            as_person(scene, "mutation Start($id: UUID!) { runJob(jobId: $id) { id } }", {"id": job_id})
        case "schedule":
            # Our own client takes crons of five fields only.
            change = {"id": job_id, "isScheduled": True, "cronScheduling": EVERY_TEN_SECONDS, "scheduleTimezone": "UTC"}
            as_person(scene, "mutation Edit($job: JobEditionInput!) { editJob(job: $job) { id } }", {"job": change})
        case "deletes":
            ids = [one.id for one in scene.instances(job_id)]
            for one in ids:
                with suppress(requests.HTTPError):  # it has ended by itself
                    scene.saagie.end(one, "SUCCEEDED")
            if ids:
                scene.saagie.client.session.run(instances.delete_instances(job_id, ids))
            return bool(ids)
    return True


def leave(scene: Scene, guest: str | None, job_id: str) -> None:
    """Have nothing started any more."""
    if guest == "schedule":
        scene.saagie.client.jobs.edit(job_id, is_scheduled=False)


def as_person(scene: Scene, document: str, variables: dict[str, object]) -> None:
    """Ask as somebody else: the local Saagie has one user, but knows a token for another by its signature."""
    gate = Gate(Settings(scene.folder / "saagie", "none", login=PERSON, realm=REALM))
    token = gate.log_in(PERSON, "none", REALM)
    answer = requests.post(
        f"{scene.saagie.url}/projects/api/platform/{PLATFORM}/graphql",
        json={"query": document, "variables": variables},
        headers={"Authorization": f"Bearer {token}", "Saagie-Realm": REALM},
        timeout=10,
    )
    answer.raise_for_status()
    assert not answer.json().get("errors"), answer.text


def is_guests(instance: JobInstance) -> bool:
    """Say whether somebody else started an instance."""
    return instance.run_by != SAAGIE_LOGIN or instance.is_authored is False
