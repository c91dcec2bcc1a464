// While something on the page is on its way, asks for the page again and puts its content in place of the old one.
"use strict";
const INTERVAL = 1000;

async function renew() {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.ok && !document.hidden && !String(getSelection())) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const log = main.querySelector(".log");
      const atEnd = !log || log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
      const scrolled = log ? log.scrollTop : 0;
      const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      document.title = fresh.title;
      main.replaceChildren(...fresh.querySelector("main").childNodes);
      if (!fresh.querySelector("main[data-live]")) main.removeAttribute("data-live");
      const newLog = main.querySelector(".log");
      if (newLog) newLog.scrollTop = atEnd ? newLog.scrollHeight : scrolled;
      if (focused) main.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    }
  } catch {
    // The emulator may be restarting: ask again.
  }
  setTimeout(renew, INTERVAL);
}

document.querySelectorAll(".log").forEach((log) => { log.scrollTop = log.scrollHeight; });
setTimeout(renew, INTERVAL);
