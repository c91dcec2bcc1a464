"""Outages, refused logins and edited connections: who is polled then, what is logged, and when waiters give up."""

from __future__ import annotations

import asyncio
import gc
import itertools
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.settings import Settings
from airflow_provider_saagie.exceptions import SaagieConnectionError
from airflow_provider_saagie.hooks import saagie as hooks
from airflow_provider_saagie.triggers.waiter import Failed, StillOnItsWay
from tests.support.fake_saagie import PASSWORD, FakeSaagie, Request, ends_at, fails, instance
from tests.support.pages import DOCS, blocks_in, section
from tests.support.watcher_scenario import Scenario, Waiting, all_end, cancel_all


async def test_outage_pauses_polling_and_ends_no_waiter(scenario: Scenario, saagie: FakeSaagie) -> None:
    saagie.intercept = fails(503, 30, 1230)
    saagie.get_instance = ends_at(1000)
    waiting = scenario.wait_many(1, 250)
    assert await scenario.wait(251, deadline=100).verdict() == StillOnItsWay(was_read=False)
    assert 101 <= saagie.now() < 103.5
    assert await all_end(waiting)
    (documented,) = blocks_in(section(DOCS / "operations.md", "## What happens when something is away"), "text")
    for one in waiting:
        for line, quoted in zip(one.log.lines, documented.splitlines(), strict=True):
            assert line.startswith(quoted.partition("watchInstances")[0].partition("after")[0])
    assert "503" in waiting[0].log.lines[0]
    during = [poll for poll in saagie.polls if 31 < poll.at < 1230]
    assert 20 <= len(during) < 60  # one batch goes ahead, at most once a minute or so
    assert saagie.now() < 1230 + 75
    assert len(saagie.logins) == 1  # the token is still good


@pytest.mark.parametrize("failures", [1, 2])
async def test_single_failure_is_not_logged(scenario: Scenario, saagie: FakeSaagie, failures: int) -> None:
    """Neither for those that come in the meantime."""
    saagie.get_instance = ends_at(60)
    waiting = [scenario.wait(1)]
    failed: list[float] = []

    def intercept(request: Request) -> web.Response | None:
        if request.at < 15 or len(failed) == failures:
            return None
        failed.append(request.at)
        asyncio.get_running_loop().call_later(0.5, lambda: waiting.append(scenario.wait(len(waiting) + 1)))
        return web.Response(status=502)

    saagie.intercept = intercept
    await asyncio.sleep(50)
    assert await all_end(waiting)
    assert [len(one.log.lines) for one in waiting] == [0 if failures == 1 else 2] * (1 + failures)


async def test_unreachable_host_is_an_outage(scenario: Scenario, saagie: FakeSaagie, unused_tcp_port: int) -> None:
    """It ends with the edited connection, and nobody is polled early then."""
    url, saagie.url = saagie.url, f"http://127.0.0.1:{unused_tcp_port}"
    scenario.edit_connection()
    saagie.get_instance = ends_at(400)
    one = scenario.wait(1, poll_interval=600)
    assert await scenario.wait(2, deadline=40).verdict() == StillOnItsWay(was_read=False)
    await asyncio.sleep(50)
    assert len(one.log.lines) == 1
    saagie.url = url
    scenario.edit_connection()
    assert await all_end([one])
    assert len(saagie.polls) <= 3


# The connection and its login


async def test_connection_is_looked_up_in_outages_only(
    scenario: Scenario, saagie: FakeSaagie, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most once a minute: Airflow's database has other work."""
    read_settings, lookups = hooks.read_settings_async, []

    async def spy(*args: Any, **more: Any) -> Settings:
        lookups.append(saagie.now())
        return await read_settings(*args, **more)

    monkeypatch.setattr(hooks, "read_settings_async", spy)
    saagie.intercept = fails(429, 305, 605, retry_after=5)
    saagie.get_instance = ends_at(605)
    assert await all_end([scenario.wait(1)])
    assert len(saagie.polls) >= 30 + 55
    first, *others = lookups
    assert first < 1
    assert others[0] > 305
    gaps = [after - before for before, after in itertools.pairwise(others)]
    assert len(gaps) in (4, 5)
    assert 60 <= min(gaps) <= max(gaps) < 70


async def test_missing_connection_fails_after_ten_minutes(scenario: Scenario, saagie: FakeSaagie) -> None:
    scenario.conn_id = "saagie_nowhere"
    (line,) = await scenario.stop(1)
    assert "saagie_nowhere" in line
    began = saagie.now()
    assert await scenario.wait(1).failure("saagie_nowhere") == "auth"
    assert 600 <= saagie.now() - began < 700


async def test_refused_login_fails_waiters_after_ten_minutes(scenario: Scenario, saagie: FakeSaagie) -> None:
    """An outage before it doesn't count. All waiters share one login a minute, and deadlines don't add to it."""
    saagie.intercept = fails(503, 15, 1220)
    waiting = scenario.wait_many(1, 400)
    urgent = [scenario.wait(500 + n, deadline=1250 + 20 * n) for n in range(20)]
    await asyncio.sleep(1200)
    saagie.change_password()
    await asyncio.sleep(300)
    late = scenario.wait(401)
    verdicts = [await one.verdict() for one in waiting]
    assert all(isinstance(verdict, Failed) and verdict.kind == "auth" for verdict in verdicts)
    assert 1800 <= saagie.now() < 1800 + 180
    assert {await one.verdict() for one in urgent} == {StillOnItsWay(was_read=False)}
    refused = [at for at in saagie.logins if at > 1200]
    assert 10 <= len(refused) <= 13
    assert min(after - before for before, after in itertools.pairwise(refused)) >= 60
    lines = waiting[0].log.lines
    assert ["away" in line for line in lines] == [True, False]
    assert "refused the login" in lines[1]
    for secret in ("changed", PASSWORD):
        assert secret not in f"{verdicts[0]} {lines}"
    assert await late.failure() == "auth"
    assert 2100 <= saagie.now() < 2200  # it has ten minutes of its own


async def test_edited_password_is_used(scenario: Scenario, saagie: FakeSaagie) -> None:
    saagie.get_instance = ends_at(400)
    one = scenario.wait(1)
    await asyncio.sleep(25)
    saagie.change_password()
    scenario.edit_connection(password="changed")
    await asyncio.sleep(20)
    assert (len(saagie.logins), len(saagie.polls), one.log.lines) == (3, 5, [])  # it is edited already: no outage
    saagie.change_password("changed again")
    await asyncio.sleep(100)
    scenario.edit_connection(password="changed again")
    await asyncio.sleep(65)
    assert one.log.lines[-1].startswith("Saagie answers again")
    # A right is in the next token only.
    count = len(saagie.logins)
    saagie.intercept = lambda _: web.Response(status=403) if len(saagie.logins) == count else None
    await asyncio.sleep(110)
    assert "refused" in one.log.lines[-2]
    assert one.log.lines[-1].startswith("Saagie answers again")
    assert await all_end([one])
    gc.collect()  # warns of whatever was left open, and warnings are errors


@pytest.mark.parametrize("refused", [False, True])
async def test_first_stops_and_deadlines_share_a_login(scenario: Scenario, saagie: FakeSaagie, refused: bool) -> None:
    """Hundreds of a triggerer that has no token yet."""
    if refused:
        saagie.change_password()
    lines = await asyncio.gather(*(scenario.stop(number) for number in range(300)))
    expected = "The stop failed, so that the instance may go on" if refused else "Saagie was asked to stop it."
    assert all(line.startswith(expected) for (line,) in lines)
    assert len(saagie.logins) == 1
    assert sorted(saagie.stopped) == ([] if refused else [instance(number) for number in range(300)])
    await asyncio.sleep(0.1)
    saagie.requests.clear()
    waiting = scenario.wait_many(1, 300, deadline=0)
    assert {await one.verdict() for one in waiting} == {StillOnItsWay(was_read=not refused)}
    assert len(saagie.logins) == 2
    assert [request.operation for request in saagie.requests] == ["watchInstances"] * (0 if refused else 3)


async def test_stops_and_deadlines_share_a_refused_login(scenario: Scenario, saagie: FakeSaagie) -> None:
    waiting: list[Waiting] = [scenario.wait(n, stream_logs=True, deadline=20 + n) for n in range(1, 31)]
    await asyncio.sleep(20)
    saagie.change_password()
    before = len(saagie.logins)
    for number in range(60):
        (line,) = await scenario.stop(100 + number)
        assert "refused the login" in line
        await asyncio.sleep(0.4)
    assert len(saagie.logins) == before + 1
    assert {await one.verdict() for one in waiting[:20]} == {StillOnItsWay(was_read=False)}
    saagie.password = PASSWORD  # the former one is valid again
    await asyncio.sleep(30)
    assert await scenario.stop(200) == ["Saagie was asked to stop it."]
    await cancel_all(waiting)


async def test_logs_share_a_refused_login(scenario: Scenario, saagie: FakeSaagie) -> None:
    def get_log(_: str, at: float) -> list[tuple[str, str]]:
        if at > 25 and saagie.password != "changed":
            saagie.change_password()
        return [("STDOUT", "line")]

    saagie.get_log = get_log
    waiting = scenario.wait_many(1, 200, stream_logs=True)
    await asyncio.sleep(60)
    assert len(saagie.logins) == 2  # the first one, and one that finds out, for statuses too
    await cancel_all(waiting)


async def test_closed_session_opens_no_connection(scenario: Scenario, saagie: FakeSaagie) -> None:
    """A log may still be read over it when the watcher closes it, since the connection was edited in Airflow."""
    settings = await hooks.read_settings_async(scenario.conn_id, by="triggerer")
    session = AsyncSession(replace(settings, retries=0))
    token = await session.log_in()
    await session.close()
    with pytest.raises(SaagieConnectionError):
        await session.log_in(instead_of=token)
    with pytest.raises(SaagieConnectionError):
        await session.run(instances.stop(instance(1)))
    assert (len(saagie.logins), saagie.stopped) == (1, [])
