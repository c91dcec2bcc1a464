from airflow_provider_saagie.operators.saagie import *
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from tests.support.executed_tasks import run_task, TaskRun
def test_it(make_job, client, emulator, saagie_connection, capfd, caplog, hold):
    j = make_job("print(1)")
    r = run_task(SaagieRollbackJobOperator(task_id="x", job_id=j, version_number=1))
    print("FD", capfd.readouterr(), "CAPLOG", caplog.text)
    print(r.result, r.error, r.xcoms, r.link)
    j = make_job(hold.code())
    i = client.jobs.run(j)["runJob"]["id"]
    r= run_task(SaagieJobInstanceSensor(task_id="x", instance_id=i, deferrable=True, timeout=100))
    print(repr(r.error), vars(r.error))
    emulator.set_instance(i, "FAILED", "GENERIC_ERROR", "as told")
    r.resume()
    print(repr(r.error), r.error, repr(r.error.__cause__), r.xcoms)
    i = client.jobs.run(j)["runJob"]["id"]
    r= run_task(SaagieJobInstanceSensor(task_id="x", instance_id=i, mode="reschedule", timeout=100))
    print(repr(r.error))
