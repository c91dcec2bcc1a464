// Renews what is marked data-live, while there is anything: fetches the page again and takes over the parts of the
// same id. A log is only added to: it says which line comes next, and the page is asked for the lines from there on.
"use strict";
const INTERVAL = 1000;

function isAtEnd(log) { return log.scrollTop + log.clientHeight >= log.scrollHeight - 20; }

function addLines(log, fresh) {
  const follow = isAtEnd(log);
  log.append(...fresh.children);
  log.dataset.next = fresh.dataset.next;
  if (follow) log.scrollTop = log.scrollHeight;
}

function replace(part, fresh) {
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const selector = focused?.id ? "#" + CSS.escape(focused.id)
    : focused?.getAttribute("href") ? `[href="${CSS.escape(focused.getAttribute("href"))}"]` : null;
  const scrolled = [...part.querySelectorAll(".wide")].map((one) => one.scrollLeft);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll(".wide").forEach((one, index) => { one.scrollLeft = scrolled[index] ?? 0; });
  if (selector) part.querySelector(selector)?.focus({ preventScroll: true });
}

function isSelectedIn(part) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

async function renew() {
  const parts = [...document.querySelectorAll("[data-live]")];
  const log = document.querySelector(".log[data-live]");
  const address = new URL(location.href);
  address.hash = "";
  if (log) address.searchParams.set("from", log.dataset.next);
  const answer = await fetch(address, { cache: "no-store" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.status === 404) return location.reload();  // it was deleted: the page that says so is kinder
  if (!answer.ok) throw new Error(answer.status);
  document.title = page.title;
  for (const part of parts) {
    const fresh = page.getElementById(part.id);
    if (part === log) addLines(part, fresh);
    else if (isSelectedIn(part)) continue;
    else replace(part, fresh);
    if (!("live" in fresh.dataset)) delete part.dataset.live;
  }
}

async function keepRenewing() {
  if (!document.querySelector("[data-live]")) return;
  if (!document.hidden) {
    try {
      await renew();
      document.getElementById("away").hidden = true;
    } catch {
      document.getElementById("away").hidden = false;
    }
  }
  setTimeout(keepRenewing, INTERVAL);
}

document.querySelectorAll(".log").forEach((log) => { log.scrollTop = log.scrollHeight; });
setTimeout(keepRenewing, INTERVAL);
