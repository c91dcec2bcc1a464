// Switches faults on and off through /emulator/faults.
"use strict";
const form = document.getElementById("wish");
const said = document.getElementById("said");

async function send(method, body, id) {
  try {
    const answer = await fetch("/emulator/faults" + (id ? "/" + id : ""), {
      method, body: body && JSON.stringify(body), headers: { "Content-Type": "application/json" },
    });
    said.textContent = answer.ok ? "" : (await answer.json()).error;
    if (answer.ok) await renew();
  } catch {
    said.textContent = "The emulator does not answer.";
  }
}

function showOptions() {
  for (const set of form.querySelectorAll("fieldset")) {
    set.hidden = set.disabled = set.dataset.kind !== form.elements.what.value;
  }
}

function wish() {
  const found = {};
  for (const input of form.querySelectorAll("input, select")) {
    if (input.matches(":disabled") || (input.value === "" && !input.required)) continue;
    found[input.name] = input.type === "number" ? input.valueAsNumber : input.value;
  }
  return found;
}

form.elements.what.addEventListener("change", showOptions);
form.addEventListener("submit", (event) => { event.preventDefault(); send("POST", wish()); });
document.getElementById("main").addEventListener("click", (event) => {
  const { off } = event.target.dataset;
  if (off !== undefined) send("DELETE", undefined, off);  // without an id: all of them
});
showOptions();
