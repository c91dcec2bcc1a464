"""A script as people have them today, with Saagie's own client: what the guide "Moving" begins with."""

import os
import sys

from saagieapi import SaagieApi  # type: ignore[import-not-found]  # in an environment of its own

api = SaagieApi(
    url_saagie=os.environ["SAAGIE_URL"],
    id_platform="1",
    user="airflow",
    password=os.environ["SAAGIE_PASSWORD"],
    realm="local",
)
job_id = api.jobs.get_id("Load orders", "Demo")
status, instance_id = api.jobs.run_with_callback(job_id, freq=10, timeout=7200)
if status != "SUCCEEDED":
    sys.exit(f"{instance_id} ended as {status}")
