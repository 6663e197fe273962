"use strict";

const HEARD_SECONDS = 2; // a recording counts as heard after this time, or at its end
const RETRY_MS = 3000;
const at = (id) => document.getElementById(id);
let trial = null; // the open trial as the server sent it, with players, heard, values and sending

async function ask(path, body) {
  const options = body === undefined
    ? {}
    : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, options);
  if (!response.ok) throw Object.assign(new Error(`${response.status} of ${path}`), { status: response.status });
  return response.json();
}

function show(name) {
  for (const id of ["welcome", "trial", "thanks"]) at(id).hidden = id !== name;
  at("failure").hidden = true;
}

function fail(words) {
  at("failure").textContent = words;
  at("failure").hidden = false;
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Show the server's state: a new listener, the next trial, or the end.
function follow(state) {
  for (const player of trial?.players ?? []) { player.pause(); URL.revokeObjectURL(player.src); }
  trial = state.trial;
  if (!state.listener) {
    show("welcome");
    at("begin").focus();
    return;
  }
  at("elsewhere").hidden = !trial;
  at("address").textContent = `${location.origin}/?listener=${state.listener}`;
  if (!trial) {
    show("thanks");
    at("thanks").querySelector("h1").focus();
    return;
  }
  Object.assign(trial, { players: [], heard: trial.places.map(() => false), values: Array(trial.rated).fill(null),
    playing: -1, last: -1, sending: false, loading: true });
  at("progress").max = state.total;
  at("progress").value = state.answered;
  at("count").textContent = `${state.answered + 1} of ${state.total}`;
  at("title").textContent = trial.title;
  at("question").textContent = trial.question;
  at("recordings").replaceChildren(...trial.places.map(recording));
  at("scale").replaceChildren(...(trial.sliders ? [] : choices()));
  at("keys").textContent = trial.sliders
    ? "Keys: 0 plays the reference, 1 to 9 play a sample and choose its slider, arrows move it, Space plays or pauses,"
      + " Enter continues."
    : "Keys: Space plays or pauses, digits rate, Enter continues.";
  show("trial");
  window.scrollTo(0, 0);
  at("title").focus({ preventScroll: true });
  refresh();
  load(trial);
}

function recording(label, place) {
  const button = element("button", { type: "button", className: "play" },
    element("span", { className: "sign", textContent: "\u25b6", ariaHidden: "true" }), element("span", {
      textContent: label }), element("span", { className: "bar", ariaHidden: "true" }, element("i")),
    element("span", { className: "heard" }));
  button.addEventListener("click", () => toggle(place));
  const card = element("div", { className: "recording" }, button);
  const rating = place - (trial.places.length - trial.rated);
  if (trial.sliders && rating >= 0) card.append(...slider(label, rating));
  return card;
}

function slider(label, rating) {
  const output = element("output", { textContent: "\u2013" });
  const input = element("input", { type: "range", min: trial.least, max: trial.greatest, step: 1,
    value: (trial.least + trial.greatest) / 2, ariaLabel: `Rating of ${label}` });
  const set = () => {
    trial.values[rating] = Number(input.value);
    output.textContent = input.value;
    refresh();
  };
  for (const event of ["input", "change", "click"]) input.addEventListener(event, set);
  const words = trial.scale.map((step) => element("span", { textContent: step.label }));
  return [element("div", { className: "words", ariaHidden: "true" }, ...words),
    element("div", { className: "rating" }, input, output)];
}

function choices() {
  const made = trial.scale.map((step) => {
    const input = element("input", { type: "radio", name: "choice", value: step.value });
    input.addEventListener("change", () => { trial.values = [step.value]; refresh(); });
    return element("label", {}, input, element("span", { textContent: `${step.value}  ${step.label}` }));
  });
  const legend = element("legend", { textContent: "Your answer", className: "soft" });
  return [legend, ...made];
}

async function load(wanted) {
  try {
    const sounds = await Promise.all(wanted.places.map(async (_, place) => {
      const response = await fetch(`/audio/${wanted.number}/${place}`);
      if (!response.ok) throw new Error(`${response.status}`);
      return response.blob();
    }));
    if (wanted !== trial) return;
    trial.players = sounds.map((sound, place) => player(URL.createObjectURL(sound), place));
    trial.loading = false;
    at("failure").hidden = true;
    refresh();
  } catch (error) {
    if (wanted !== trial) return;
    fail("A recording could not be loaded. Trying again\u2026");
    setTimeout(() => { if (wanted === trial) load(wanted); }, RETRY_MS);
  }
}

function player(address, place) {
  const made = new Audio(address);
  const bar = at("recordings").children[place].querySelector("i");
  made.addEventListener("timeupdate", () => {
    bar.style.width = `${100 * made.currentTime / (made.duration || 1)}%`;
    if (made.currentTime >= HEARD_SECONDS && !trial.heard[place]) { trial.heard[place] = true; refresh(); }
  });
  made.addEventListener("ended", () => { trial.heard[place] = true; trial.playing = -1; refresh(); });
  return made;
}

function toggle(place) {
  if (trial.loading) return;
  const again = trial.playing === place;
  if (trial.playing >= 0) trial.players[trial.playing].pause();
  trial.playing = again ? -1 : place;
  trial.last = place;
  if (!again) {
    const chosen = trial.players[place];
    if (chosen.ended || trial.sliders) chosen.currentTime = 0;
    chosen.play().catch(() => { trial.playing = -1; refresh(); });
  }
  refresh();
}

// Space: pause; else the first recording that has not been heard, else the last one again.
function playNext() {
  if (trial.playing >= 0) { toggle(trial.playing); return; }
  const unheard = trial.heard.indexOf(false);
  const paused = trial.players[trial.last];
  const begun = paused && !paused.ended && paused.currentTime > 0;
  toggle(begun ? trial.last : unheard >= 0 ? unheard : Math.max(trial.last, 0));
}

function missing() {
  const unheard = trial.places.filter((_, place) => !trial.heard[place]);
  if (trial.loading) return "Loading\u2026";
  if (unheard.length) return `Still to hear: ${unheard.join(", ")}.`;
  const unrated = trial.values.filter((value) => value === null).length;
  if (!unrated) return "";
  return trial.sliders ? `Still to rate: ${unrated} of ${trial.rated} samples.` : "Choose an answer.";
}

function refresh() {
  Array.from(at("recordings").children).forEach((card, place) => {
    const button = card.querySelector("button");
    const playing = trial.playing === place;
    button.disabled = trial.loading;
    button.setAttribute("aria-pressed", String(playing));
    button.querySelector(".sign").textContent = playing ? "\u275a\u275a" : "\u25b6";
    button.querySelector(".heard").textContent = trial.heard[place] ? "\u2713" : "";
    button.querySelector(".heard").ariaLabel = trial.heard[place] ? "heard" : "";
    card.classList.toggle("current", playing || (trial.playing < 0 && trial.last === place));
  });
  const words = missing();
  at("missing").textContent = words;
  at("next").disabled = words !== "" || trial.sending;
}

async function send() {
  if (at("next").disabled) return;
  const sent = trial;
  sent.sending = true;
  if (sent.playing >= 0) toggle(sent.playing);
  refresh();
  try {
    follow(await ask("/api/answer", { trial: sent.number, values: sent.values }));
  } catch (error) {
    if (error.status === 409 || error.status === 401) { resume(); return; } // another window answered, or started anew
    fail("Your answer could not be kept yet. Trying again\u2026");
    setTimeout(() => { sent.sending = false; if (sent === trial) { refresh(); send(); } }, RETRY_MS);
  }
}

function choose(digit) {
  if (trial.sliders) {
    const cards = at("recordings").children;
    if (digit >= cards.length) return;
    toggle(digit);
    (cards[digit].querySelector("input") ?? cards[digit].querySelector("button")).focus();
    return;
  }
  const input = at("scale").querySelector(`input[value="${digit}"]`);
  if (input) input.click();
}

// Keys act as the test describes, unless the control in focus has its own use of them.
document.addEventListener("keydown", (event) => {
  if (!trial || at("trial").hidden || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const control = event.target.closest("button, summary, input[type=radio]:not(:checked)");
  if (event.key === " " && !control) playNext();
  else if (event.key === "Enter" && !event.target.closest("button, summary")) send();
  else if (/^[0-9]$/.test(event.key)) choose(Number(event.key));
  else return;
  event.preventDefault();
});

async function resume() {
  try {
    follow(await ask("/api/trial"));
  } catch (error) {
    fail("The test cannot be reached. Trying again\u2026");
    setTimeout(resume, RETRY_MS);
  }
}

at("begin").addEventListener("click", async () => {
  at("begin").disabled = true;
  try {
    follow(await ask("/api/listener", {}));
  } catch (error) {
    fail("The test cannot be reached. Please try again.");
  }
  at("begin").disabled = false;
});
at("next").addEventListener("click", send);
resume();
