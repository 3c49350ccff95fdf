// The page follows the workspace: it asks for its main part again whenever the
// server says that something changed, and sends clicks back.
"use strict";
const main = document.getElementById("main");
const status = document.getElementById("status");
const channel = main.dataset.channel, user = main.dataset.user;

const say = (words) => {
  status.textContent = words;
  clearTimeout(say.timer);
  if (words) say.timer = setTimeout(() => { status.textContent = ""; }, 4000);
};

const post = async (path, body) => {
  const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!answer.ok) throw new Error(answer.error);
  return answer;
};

// Slack's date tokens, in the reader's own time zone and words.
const tokens = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  time: { hour: "numeric", minute: "2-digit" },
  time_secs: { hour: "numeric", minute: "2-digit", second: "2-digit" },
};
const dayName = (at) => {
  const days = Math.round((new Date(at).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 864e5);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
};
const format = (at, pattern) => pattern.replace(/\{(\w+)\}/g, (whole, name) => {
  const pretty = name.endsWith("_pretty");
  const options = tokens[pretty ? name.slice(0, -7) : name];
  if (!options) return whole;
  return (pretty && dayName(at)) || new Intl.DateTimeFormat(undefined, options).format(at);
});

const localize = () => {
  for (const t of main.querySelectorAll("time[data-unix]")) {
    const at = new Date(Number(t.dataset.unix) * 1000);
    t.textContent = format(at, t.dataset.format);
    t.title = at.toString();
  }
  for (const t of main.querySelectorAll("time.at")) {
    const at = new Date(t.getAttribute("datetime"));
    t.textContent = new Intl.DateTimeFormat(undefined, tokens.time).format(at);
    t.title = at.toString();
  }
};

const scrollDown = () => { const list = document.getElementById("list"); list.scrollTop = list.scrollHeight; };

let asking = false, again = false;
const refresh = async () => {
  if (asking) { again = true; return; }
  asking = true;
  try {
    do {
      again = false;
      const response = await fetch(`/fragment?channel=${encodeURIComponent(channel)}&user=${encodeURIComponent(user)}`);
      if (!response.ok) throw new Error(response.statusText);
      const html = await response.text();
      if (main.querySelector(".modal") && html.includes('class="modal"')) break; // do not take away what is being typed
      const list = document.getElementById("list");
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60, top = list.scrollTop;
      main.innerHTML = html;
      localize();
      if (atEnd) scrollDown(); else document.getElementById("list").scrollTop = top;
    } while (again);
  } catch {
    say("The workspace cannot be reached.");
  } finally {
    asking = false;
  }
};

const ask = (template) => new Promise((resolve) => {
  const dialog = document.getElementById("confirm");
  const parts = template.content;
  dialog.querySelector("h3").innerHTML = parts.querySelector("h3").innerHTML;
  dialog.querySelector(".text").innerHTML = parts.querySelector("div").innerHTML;
  const [no, yes] = dialog.querySelectorAll("button");
  no.innerHTML = parts.querySelector(".no").innerHTML;
  yes.innerHTML = parts.querySelector(".yes").innerHTML;
  yes.className = `button ${template.dataset.style || "primary"}`;
  let answer = false;
  no.onclick = () => dialog.close();
  yes.onclick = () => { answer = true; dialog.close(); };
  dialog.onclose = () => resolve(answer);
  dialog.showModal();
});

main.addEventListener("click", async (event) => {
  if (event.target.closest(".close")) {
    await post("/dismiss", { user }).catch((error) => say(error.message));
    return;
  }
  const button = event.target.closest("[data-action]");
  if (!button || button.closest("form")) return;
  const template = button.nextElementSibling;
  if (template?.matches("template.confirm") && !(await ask(template))) return;
  const row = button.parentElement.querySelectorAll("button");
  row.forEach((b) => { b.disabled = true; });
  try {
    await post("/click", { user, channel, ts: button.closest(".message").dataset.ts, action_id: button.dataset.action, block_id: button.dataset.block });
  } catch (error) {
    say(error.message.replace(/^localslack: /, ""));
  } finally {
    row.forEach((b) => { b.disabled = false; });
  }
});

main.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, values = {};
  for (const input of form.querySelectorAll("[data-action]")) values[input.name] = { [input.dataset.action]: input.value };
  try {
    await post("/submit", { user, view_id: form.dataset.view, values });
    form.closest(".veil").remove();
    refresh();
  } catch (error) {
    say(error.message.replace(/^localslack: /, ""));
  }
});

localize();
scrollDown();
const events = new EventSource("/events");
events.addEventListener("change", (event) => { if (!event.data || event.data === channel) refresh(); });
events.addEventListener("open", () => { say(""); refresh(); });
events.addEventListener("error", () => say("The workspace cannot be reached; trying again."));
