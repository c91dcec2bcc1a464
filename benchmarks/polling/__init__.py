"""What it costs to wait for thousands of runs: ours, the other providers' triggers, the official client.

::

    server.py       a process that plays Saagie, dbt Cloud, Databricks and Airbyte, over https; formats.py: its answers
    contender.py    a process that waits for N runs in one of the ways, and says what that cost; a fresh one each time
    ours.py …       one way each: ours.py, bare.py, dbt_cloud.py, databricks.py, airbyte.py, official_client.py
    plan.py         what server and contender are told: how many runs, when each ends, when is measured what
    measure.py      one measurement: server and contender started, told the plan, asked for what they saw
    memory.py       what one waiter takes in the watcher
    report.py       the table, the goals, docs/polling.json, docs/benchmarks.md; plot.py draws docs/pictures/polling.svg

Run it with ``make bench-polling``.
"""
