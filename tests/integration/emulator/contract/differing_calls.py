"""Calls that the official client and ours answer differently by contract, each with the reason."""

from dataclasses import dataclass
from typing import Any

from tests.integration.emulator.contract.played_calls import NOBODY, Step, step


@dataclass(frozen=True)
class Difference:
    """A call with two answers, and why ours is another; `part` is the path of the compared part."""

    step: Step
    official: Any
    ours: Any
    why: str
    part: str = ""


@dataclass(frozen=True)
class Raises:
    """The call raises an error of this class."""

    kind: str


def hidden(one: Step, official: Any, ours: str = "SaagieNotFound") -> Difference:
    return Difference(one, official, Raises(ours), "it prints the error, and returns what is left of the data")


def renamed(one: Step, official: str, ours: str = "SaagieValidationError") -> Difference:
    return Difference(one, Raises(official), Raises(ours), "all that we raise is a SaagieError")


def late(one: Step, official: Any) -> Difference:
    return Difference(one, official, Raises("SaagieValidationError"), "the platform refuses, and it hides that")


JOB, SPARK = "$differs.data.createJob.id", "$spark that differs.data.createJob.id"
LOST = {"language": "Python", "version": "3.10"}

# Steps that stand alone prepare for those behind them, and are answered alike.
# fmt: off
SCRIPT: tuple[Step | Difference, ...] = (
    step("differs", "create", job_name="differs", project_id="$project", file="$folder/sleeps.py",
         runtime_version="3.11", command_line="python {file} 600", description="made", cron_scheduling="0 0 1 1 *"),
    step("spark that differs", "create", job_name="spark that differs", project_id="$project",
         file="$folder/sleeps.py", technology="spark", runtime_version="3.5", command_line="spark-submit {file}",
         extra_technology="Python", extra_technology_version="3.10"),

    # What is not there.
    Difference(step("no job", "get_info", job_id=NOBODY), {"job": None}, Raises("SaagieNotFound"),
               "null would fail later, with a TypeError"),
    Difference(step("no alias", "get_info_by_alias", project_id="$project", job_alias="nothing"),
               {"jobByAlias": None}, Raises("SaagieNotFound"), "null would fail later, with a TypeError"),
    Difference(step("no instance", "get_instance", job_instance_id=NOBODY),
               {"jobInstance": None}, Raises("SaagieNotFound"), "null would fail later, with a TypeError"),
    renamed(step("no name", "get_id", job_name="nothing", project_name="$project_name"),
            "NameError", "SaagieNotFound"),
    renamed(step("no project's name", "get_id", job_name="job", project_name="nothing"),
            "NameError", "SaagieNotFound"),
    renamed(step("upgrade no name", "upgrade_by_name", job_name="nothing", project_name="$project_name"),
            "NameError", "SaagieNotFound"),
    Difference(step("another case", "get_id", job_name="JOB", project_name="$third_upper"),
               Raises("NameError"), "<id 1>", "Saagie lets no two names differ by case alone: the job is found"),
    hidden(step("list of nothing", "list_for_project_minimal", project_id=NOBODY), {"jobs": None}),
    hidden(step("run nothing", "run", job_id=NOBODY), None),
    Difference(step("follow nothing", "run_with_callback", job_id=NOBODY),
               Raises("AttributeError"), Raises("SaagieNotFound"), "the hidden error comes out as one of Python's"),
    hidden(step("stop nothing", "stop", job_instance_id=NOBODY), None),
    hidden(step("delete nothing", "delete", job_id=NOBODY), {"deleteJob": None}),
    hidden(step("copy nothing", "duplicate", job_id=NOBODY), None),
    renamed(step("edit nothing", "edit", job_id=NOBODY), "RuntimeError", "SaagieNotFound"),
    Difference(step("upgrade nothing", "upgrade", job_id=NOBODY),
               Raises("TypeError"), Raises("SaagieNotFound"), "the hidden error comes out as one of Python's"),
    hidden(step("roll nothing back", "rollback", job_id=NOBODY, version_number=1), {"rollbackJobVersion": None}),
    hidden(step("roll back to nothing", "rollback", job_id=JOB, version_number=99), {"rollbackJobVersion": None}),
    hidden(step("delete from nothing", "delete_instances", job_id=NOBODY, job_instances_id=[NOBODY]), None),
    hidden(step("count nothing", "count_deletable_instances_by_status", job_id=NOBODY),
           {"countJobInstancesBySelector": None}),
    hidden(step("move nothing", "move_job", job_id=NOBODY, target_platform_id=1, target_project_id="$second"), None),
    hidden(step("move to nowhere", "move_job", job_id=JOB, target_platform_id=1, target_project_id=NOBODY), None),
    Difference(step("export nothing", "export", job_id=NOBODY, output_folder="$folder/nothing",
                    error_folder="$folder/noted"),
               False, Raises("SaagieNotFound"), "a task would go on without its files"),

    # Bad input.
    late(step("no id", "get_info", job_id="job"), None),
    renamed(step("naive date", "count_deletable_instances_by_date", job_id=JOB, date_before="2023-06-01T00:00:00"),
            "ValueError"),
    late(step("selector", "delete_instances_by_selector", job_id=JOB, selector="DONE"), None),
    late(step("version number", "rollback", job_id=JOB, version_number="one"), None),
    Difference(step("version as a text", "delete_versions", job_id=JOB, versions=["98"]),
               None, {"deleteJobVersions": [{"number": 98, "success": False}]},
               "the reference gives texts, which the platform does not take: we send numbers"),
    renamed(step("category", "create", job_name="x", project_id="$project", category="Cooking"), "RuntimeError"),
    renamed(step("technology", "create", job_name="x", project_id="$project", technology="cobol"), "RuntimeError"),
    renamed(step("catalogue", "create", job_name="x", project_id="$project", technology_catalog="nowhere"),
            "RuntimeError"),
    renamed(step("runtime", "create", job_name="x", project_id="$project", runtime_version="2.7"), "RuntimeError"),
    renamed(step("file", "create", job_name="x", project_id="$project", file="/no/such/file"), "FileNotFoundError"),
    renamed(step("cron", "create", job_name="x", project_id="$project", cron_scheduling="every day"),
            "RuntimeError"),
    Difference(step("seconds", "create", job_name="seconds", project_id="$project", cron_scheduling="0 0 1 1 * 30"),
               1, Raises("SaagieValidationError"), "Saagie's schedules have five fields",
               "data.createJob.versions.0.number"),
    renamed(step("timezone", "create", job_name="x", project_id="$project", cron_scheduling="0 0 1 1 *",
                 schedule_timezone="Mars/Base"), "RuntimeError"),
    late(step("emails", "create", job_name="x", project_id="$project", emails=["nobody"]), {"data": None}),
    renamed(step("statuses", "create", job_name="x", project_id="$project", emails=["a@acme.io"],
                 status_list=["DONE"]), "RuntimeError"),
    Difference(step("statuses for nobody", "create", job_name="nobody", project_id="$project",
                    status_list=["FAILED"]),
               1, Raises("SaagieValidationError"), "the list would be dropped without a word",
               "data.createJob.versions.0.number"),
    late(step("resources", "create", job_name="x", project_id="$project", resources={"cpu": 1}), {"data": None}),
    hidden(step("a name twice", "create", job_name="differs", project_id="$project"), {"data": None},
           "SaagieApiError"),
    Difference(step("no time to wait", "run_with_callback", job_id=JOB, freq=0, timeout=-2),
               Raises("TimeoutError"), Raises("SaagieValidationError"), "it starts the job before it looks"),

    # What an edit leaves alone.
    Difference(step("ERROR", "edit", job_id=JOB, emails=["a@acme.io"], status_list=["ERROR"]),
               Raises("RuntimeError"), ["ERROR"], "the schema has ERROR", "editJob.alerting.statusList"),
    step("not told any more", "edit", job_id=JOB, emails=[]),
    step("off", "edit", job_id=JOB, is_scheduled=False),
    Difference(step("on again", "edit", job_id=JOB, is_scheduled=True),
               Raises("RuntimeError"), True, "the job has a cron, which is not given and stays", "editJob.isScheduled"),
    Difference(step("another cron", "edit", job_id=JOB, cron_scheduling="7 7 1 1 *"),
               "0 0 1 1 *", "7 7 1 1 *", "it drops a cron that comes without is_scheduled", "editJob.cronScheduling"),
    Difference(step("described by nothing", "edit", job_id=JOB, description=""),
               "made", "", "it can't empty a description", "editJob.description"),
    step("upgraded spark", "upgrade", job_id=SPARK, command_line="spark-submit --verbose {file}"),
    Difference(step("its language", "get_info", job_id=SPARK, versions_only_current=True),
               None, LOST, "it loses the extra technology that is not given", "job.versions.0.extraTechnology"),

    # Folders.
    Difference(step("import nothing", "import_from_json", project_id="$project", path_to_folder="$folder/no/folder"),
               Raises("StopIteration"), Raises("SaagieValidationError"), "an error of ours says what is missing"),
    step("a broken folder", "write", path="$folder/broken/job.json", text="{"),
    Difference(step("import it", "import_from_json", project_id="$project", path_to_folder="$folder/broken"),
               False, Raises("SaagieValidationError"), "a task would go on without its job"),
    step("no files", "fault", what="status", operation="artifact", status=500, times=0),
    Difference(step("export half", "export", job_id=JOB, output_folder="$folder/half"),
               True, Raises("SaagieConnectionError"), "the folder lacks the file, and the answer says it is fine"),
    step("files", "no_faults"),

    # A platform in trouble.
    step("no lists", "fault", what="error", operation="jobs", times=0),
    hidden(step("list with an error", "list_for_project_minimal", project_id="$project"), None, "SaagieApiError"),
    step("no runs", "fault", what="error", operation="runJob", times=0),
    hidden(step("run with an error", "run", job_id=JOB), None, "SaagieApiError"),
    step("garbage", "fault", what="garbage", operation="job", times=0),
    renamed(step("read garbage", "get_info", job_id=JOB), "TransportProtocolError", "SaagieProtocolError"),
    step("all well", "no_faults"),
    Difference(step("wrong password", "try_to_log_in", password="wrong"),
               Raises("SystemExit"), Raises("SaagieAuthError"), "it ends the process"),

    # An end that it does not know.
    Difference(step("ends in ERROR", "follow_to", job_id=JOB, status="ERROR", freq=0.1, timeout="$patience"),
               Raises("TimeoutError"), "ERROR", "it waits on, for ever without a timeout"),
    Difference(step("runs too long", "run_with_callback", job_id=JOB, freq=0.1, timeout=0.3),
               Raises("TimeoutError"), Raises("SaagieWaitTimeout"), "a TimeoutError too, that names the instance"),
)
# fmt: on

# Parts of answers that are otherwise equal: by step and part, why they are not.
FIELDS = {
    ("by alias after runs", "jobByAlias.instances.0.status"): "the reference shows it, the client does not ask for it",
    ("by alias after runs", "jobByAlias.instances.0.version.doesUseGPU"): "the reference shows it, as above",
    ("all of the import", "job.versions.0.sourceUrl"): "the client's import leaves it out",
    ("all of the bash import", "job.versions.0.dockerInfo"): "the client's import leaves it out",
}
