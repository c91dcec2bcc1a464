"""Draws how it works: the way that data takes, the watcher, and submit once, whose words are the code's own table.

Run it with ``python -m docs.draw_how`` after a change; a test compares.
"""

from __future__ import annotations

from airflow_provider_saagie.client.submit import FRESH, TABLE, Found, Since
from docs.drawing import BAD, GOOD, OURS, PICTURES, SOFT, THEIRS, Drawing


def way() -> Drawing:
    """Draw who talks to whom."""
    picture = Drawing("From a DAG file to Saagie and back", 980, 322)
    picture.group(150, 14, 590, 108, "worker")
    picture.group(150, 186, 590, 122, "")
    picture.text(728, 205, "triggerer: one watcher for each connection", "end", colour=SOFT)
    picture.box(16, 52, 104, "DAG file")
    picture.box(170, 52, 150, "operators, sensor", "say what an end means", fill=OURS)
    picture.box(372, 52, 140, "hook", "a connection", fill=OURS)
    picture.box(564, 52, 156, "client", "one call, one answer", fill=OURS)
    picture.box(846, 128, 118, "Saagie", "or the emulator", fill=THEIRS)
    picture.box(170, 232, 150, "trigger", "ids and times, no secret", fill=OURS)
    picture.box(372, 232, 140, "watcher", "all tasks together", fill=OURS)
    picture.box(564, 232, 156, "client", "up to 100 a request", fill=OURS)
    picture.arrow("M120 75H168")
    picture.arrow("M320 75H370")
    picture.arrow("M512 75H562")
    picture.arrow("M720 75H905V126", "runJob, job, logs", (750, 68, "start"))
    picture.arrow("M225 98V230", "defers: the|worker is free", (219, 146, "end"))
    picture.arrow("M265 230V100", "one event:|how it ended", (272, 146, "start"), dashed=True)
    picture.arrow("M320 255H370")
    picture.arrow("M512 255H562")
    picture.arrow("M720 255H905V176", "watchInstances", (750, 248, "start"))
    return picture


def watcher() -> Drawing:
    """Draw what happens between a deferral and its event."""
    picture = Drawing("The watcher: many tasks, few requests", 1000, 384)
    picture.group(206, 14, 570, 356, "the watcher of a connection, in the triggerer's event loop")
    for number, name in enumerate(("task 1", "task 2", "task 3", "…", "task 2,000")):
        y = 44 + 44 * number
        picture.box(16, y, 108, name, height=34)
        picture.line(f"M124 {y + 10}H150")
        picture.arrow(f"M172 {y + 24}H126", dashed=True)
    picture.line("M150 54V230")
    picture.arrow("M150 78H228", "wait", (177, 72, "start"))
    picture.line("M172 68V244")
    picture.arrow("M230 212H174", dashed=True)
    picture.text(70, 272, "one event for each", "middle", 11.5)
    picture.box(230, 52, 190, "schedule", "young ones each second,|none later than poll_interval", height=62, fill=OURS)
    picture.box(536, 52, 190, "poller", "100 instances a request,|four requests at a time", height=62, fill=OURS)
    picture.box(536, 176, 190, "rounds", "what an answer says|of each waiter", height=62, fill=OURS)
    picture.box(230, 176, 190, "waiter", "unchanged, ended, gone,|deadline passed", height=62, fill=OURS)
    picture.box(536, 292, 190, "log follower", "50 logs a request,|at most 10,000 lines each", height=62, fill=OURS)
    picture.box(230, 292, 190, "outage", "pauses the connection,|ends nobody", height=62, fill=OURS)
    picture.box(866, 170, 118, "Saagie", fill=THEIRS, height=74)
    picture.arrow("M420 83H534", "who is due", (477, 76, "middle"))
    picture.arrow("M726 83H925V168", "watchInstances", (788, 76, "start"))
    picture.arrow("M866 207H728", "one answer", (788, 200, "start"))
    picture.arrow("M536 207H422", "one for each", (479, 200, "middle"))
    picture.arrow("M631 238V265H325V290", "unreachable, 5xx, 429", (479, 259, "middle"))
    picture.arrow("M726 323H925V246", "watchLogs", (788, 316, "start"))
    return picture


def submit_once() -> Drawing:
    """Draw what is stored when, and what a retry finds where the task dies in between."""
    picture = Drawing("Submit once: what is stored when, and what a retry finds", 940, 470)
    bands = (
        (66, 118, GOOD, (Found.NOTHING,)),
        (122, 314, BAD, (Found.INTENT,)),
        (318, 456, GOOD, (Found.ON_ITS_WAY, Found.SUCCEEDED, Found.ENDED)),
    )
    for top, bottom, fill, all_found in bands:
        picture.band(top, bottom, fill)
        line = top + 21
        for found in all_found:
            picture.text(572, line, f"{plain(found.value)}:", weight=600)
            for part in plain(TABLE[found][Since.RETRY].value).split("; "):
                line += 15
                picture.text(584, line, part)
            line += 20
    picture.text(572, 34, "Where the task dies, a retry finds", weight=600)
    picture.text(572, 50, "and does this. After a clear it is otherwise: see the table.", size=11)
    picture.text(584, 236, "The search waits until no request can arrive any more,", size=11.5, colour=SOFT)
    picture.text(584, 252, "and looks for newer instances that this login has started.", size=11.5, colour=SOFT)
    store, task, saagie = 96, 296, 486
    for x, name, fill in ((store, "state store", OURS), (task, "the task", OURS), (saagie, "Saagie", THEIRS)):
        picture.line(f"M{x} 54V456")
        picture.box(x - 66, 16, 132, name, height=38, fill=fill)
    steps = (
        (118, task, store, "1  intent: job, newest number,|time, which try"),
        (180, task, saagie, f"2  runJob, within {FRESH:g} s"),
        (240, saagie, task, "3  the instance's id"),
        (314, task, store, "4  the id, and that it is ours"),
        (384, task, saagie, "5  looks, until it has ended"),
    )
    for y, start, end, words in steps:
        picture.arrow(f"M{start} {y}H{end + (2 if end < start else -2)}")
        parts = words.split("|")
        for number, part in enumerate(parts):
            picture.text((start + end) / 2, y - 7 - 14 * (len(parts) - 1 - number), part, "middle", 11.5)
    return picture


def plain(words: str) -> str:
    """Take the marks of Markdown away."""
    return words.replace("`", "")


ALL = {"drawn_way": way, "drawn_watcher": watcher, "drawn_submit_once": submit_once}


def main() -> None:
    """Write all pictures."""
    for name, draw in ALL.items():
        (PICTURES / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
