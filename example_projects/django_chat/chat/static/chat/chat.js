import { stream } from "../tokenstream/tokenstream.js";

const form = document.getElementById("ask");
const { text, send, stop, csrfmiddlewaretoken } = form.elements;
let reply; // the AbortController of the reply that is coming

stop.onclick = () => reply.abort();

form.onsubmit = async (event) => {
  event.preventDefault();
  if (send.disabled) return;
  const question = text.value;
  text.value = "";
  say("user", question);
  const answer = say("assistant", "");
  setBusy(true);
  try {
    for await (const part of ask(question)) answer.append(part.token ?? "");
  } catch (error) {
    note(answer, error.name === "AbortError" ? "disconnected" : error.message);
  }
  setBusy(false);
};

function ask(question) {
  reply = new AbortController();
  const headers = { "X-CSRFToken": csrfmiddlewaretoken.value };
  return stream(form.dataset.url, { body: { text: question }, headers, signal: reply.signal });
}

function say(role, words) {
  const paragraph = document.querySelector("main").appendChild(document.createElement("p"));
  paragraph.className = `said ${role}`;
  paragraph.append(words);
  return paragraph;
}

function note(paragraph, why) {
  paragraph.appendChild(document.createElement("small")).textContent = ` (${why})`;
}

function setBusy(busy) {
  send.disabled = busy;
  stop.disabled = !busy;
}
