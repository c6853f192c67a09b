/** The chat page: sends the messages so far, shows the reply as it comes. */

import { stream } from "./tokenstream.js";

const $ = (id) => document.getElementById(id);
const [chat, empty, composer, prompt, send, stop] =
  ["chat", "empty", "composer", "prompt", "send", "stop"].map($);

let messages = [];
let reply = null; // the AbortController of the reply that is coming

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(prompt.value);
});
prompt.addEventListener("keydown", (event) => {
  // An Enter that ends the composition of a character is not meant for us.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") reply?.abort();
});
stop.addEventListener("click", () => reply?.abort());
$("new").addEventListener("click", startAnew);
for (const idea of $("ideas").children)
  idea.addEventListener("click", () => ask(idea.textContent));

async function ask(text) {
  if (reply || !text.trim()) return;
  const mine = (reply = new AbortController());
  const asked = [...messages, { role: "user", content: text.trim() }];
  empty.hidden = true;
  prompt.value = "";
  setBusy(true);
  addMessage("user", "You").append(text.trim());
  const view = addReply();
  const answer = await receive(asked, mine.signal, view);
  if (reply !== mine) return; // a new chat was begun meanwhile
  if (answer) messages = [...asked, { role: "assistant", content: answer }];
  // Nothing came: the message is no part of the talk, and can be sent again.
  else if (!prompt.value) prompt.value = text;
  reply = null;
  setBusy(false);
  prompt.focus();
}

/** Read one reply into `view`; return its text, though it be cut short. */
async function receive(asked, signal, view) {
  const measure = new Measure();
  const text = new Text();
  view.text.append(text);
  try {
    for await (const part of stream("chat", { body: { messages: asked }, signal })) {
      if (part.token === undefined) measure.note(part);
      else {
        measure.token();
        following(() => text.appendData(part.token));
      }
    }
  } catch (error) {
    if (error.name === "AbortError") measure.finish = "stopped";
    else following(() => view.fail(error));
  }
  following(() => view.end(measure));
  return text.data;
}

/** Time to first token, and tokens a second after it. */
class Measure {
  start = performance.now();
  first = null;
  last = null;
  tokens = 0;
  finish = null;

  token() {
    this.last = performance.now();
    this.first ??= this.last;
    this.tokens += 1;
  }

  note(part) {
    // The model counts better than we: one token may complete no character.
    if (part.usage) this.tokens = part.usage.output_tokens;
    if (part.finish) this.finish = part.finish;
  }

  toString() {
    if (this.first === null) return this.finish === "stopped" ? "stopped" : "";
    const seconds = (this.last - this.first) / 1000;
    const figures = [
      `first token after ${Math.round(this.first - this.start)} ms`,
      `${this.tokens} token${this.tokens === 1 ? "" : "s"}`,
    ];
    if (seconds > 0 && this.tokens > 1)
      figures.push(`${((this.tokens - 1) / seconds).toFixed(1)} tokens/s`);
    if (this.finish && this.finish !== "stop") figures.push(ENDS[this.finish] ?? this.finish);
    return figures.join(" · ");
  }
}

const ENDS = { length: "cut at its longest", content_filter: "filtered", stopped: "stopped" };

/** Add a message and return the element of its text. Text is only ever put in as text. */
function addMessage(role, name) {
  const article = element("article", role);
  article.append(element("h3", "", name), element("p", "text"));
  following(() => chat.append(article), role === "user");
  return article.lastChild;
}

function addReply() {
  const text = addMessage("assistant", "Model");
  const article = text.parentElement;
  // Busy: a screen reader waits for the whole of it.
  following(() => text.setAttribute("aria-busy", "true"));
  return {
    text,
    fail(error) {
      const box = element("p", "error", error.message);
      box.setAttribute("role", "alert");
      article.append(box);
    },
    end(measure) {
      text.removeAttribute("aria-busy");
      article.append(element("p", "stats", String(measure)));
    },
  };
}

function startAnew() {
  reply?.abort();
  reply = null;
  messages = [];
  for (const article of chat.querySelectorAll("article")) article.remove();
  empty.hidden = false;
  setBusy(false);
  prompt.focus();
}

function setBusy(busy) {
  send.hidden = busy;
  stop.hidden = !busy;
}

/** Change the page, and stay at its end for a reader who is there. */
function following(change, always = false) {
  const atEnd = chat.scrollHeight - chat.scrollTop - chat.clientHeight < 60;
  change();
  if (atEnd || always) chat.scrollTop = chat.scrollHeight;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
