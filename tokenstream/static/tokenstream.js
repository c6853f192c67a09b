/**
 * tokenstream.js: read a token stream that answers a POST. No dependencies.
 *
 *   import { stream } from "./tokenstream.js";
 *   for await (const part of stream("/chat", { body: { messages } })) {
 *     if (part.token !== undefined) show(part.token);
 *   }
 *
 * A browser's EventSource can't POST; this reads the same event stream with
 * fetch. Leaving the loop, or aborting `signal`, closes the connection, and the
 * server stops the source. Quotes are from the HTML Living Standard, section
 * 9.2, "Server-sent events".
 */

/** Why a stream is not whole. `status`: the response's, 0 where there was none. */
export class StreamError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.name = "StreamError";
    this.status = status;
  }
}

/**
 * Text in, events out, at any split of the text.
 * maxLength: the most that is held of one event, in UTF-16 units (8 Mi).
 */
export class Decoder {
  lastEventId = "";
  #line = ""; // one that has no end yet
  #skipLF = false;
  #data = [];
  #held = 0;
  #event = "";
  #maxLength;

  constructor(maxLength = 8 << 20) {
    this.#maxLength = maxLength;
  }

  /** Return the events that `text` completes: `{data, event, id}`. */
  feed(text) {
    const events = [];
    if (!text) return events; // a piece may be a part of one character
    // The CR that ended the last piece was half of a CRLF.
    if (this.#skipLF && text.startsWith("\n")) text = text.slice(1);
    this.#skipLF = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop();
    for (const line of lines) this.#take(line, events);
    this.#bound(this.#line.length);
    return events;
  }

  #take(line, events) {
    this.#bound(line.length);
    if (line) this.#field(line);
    else this.#dispatch(events);
  }

  #bound(length) {
    if (this.#held + length > this.#maxLength)
      throw new StreamError(`an event is longer than ${this.#maxLength} characters`);
  }

  #field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    // "If value starts with a U+0020 SPACE character, remove it from value."
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") {
      this.#data.push(value);
      this.#held += value.length;
    } else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.lastEventId = value;
  }

  #dispatch(events) {
    // "If the data buffer is an empty string, set the data buffer and the
    // event type buffer to the empty string and return."
    if (this.#data.length)
      events.push({
        data: this.#data.join("\n"),
        event: this.#event || "message",
        id: this.lastEventId,
      });
    this.#data = [];
    this.#held = 0;
    this.#event = "";
  }
}

/** Yield the events of a fetch response as they come. */
export async function* readEvents(response) {
  const reader = response.body.getReader();
  const utf8 = new TextDecoder(); // drops a byte order mark, as it must be
  const decoder = new Decoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return; // "any pending data must be discarded"
      yield* decoder.feed(utf8.decode(value, { stream: true }));
    }
  } finally {
    // Closes the connection, so that the server hears of a reader that leaves.
    await reader.cancel().catch(() => {});
  }
}

/**
 * POST `body` as JSON and yield the parts of the answer, which is on the wire
 * "json": `{token: " cat"}`, `{usage: {...}}`, `{finish: "stop"}` and so on.
 *
 * headers: more of them, such as a CSRF token. signal: an AbortSignal.
 * Throws `StreamError` for an HTTP error, for the stream's own error, and for
 * a stream that was cut: only `[DONE]` ends one well. An abort throws what
 * fetch throws, an "AbortError".
 */
export async function* stream(url, { body, headers = {}, signal } = {}) {
  const response = await post(url, body, headers, signal);
  try {
    for await (const { event, data } of readEvents(response)) {
      if (data === "[DONE]") return;
      const part = JSON.parse(data);
      if (event === "error") throw new StreamError(part.error, response.status);
      if (event === "message") yield part;
    }
  } catch (error) {
    throw isOurs(error) ? error : new StreamError("The connection was lost.", response.status);
  }
  throw new StreamError("The connection was lost.", response.status);
}

async function post(url, body, headers, signal) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream", ...headers },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    throw isOurs(error) ? error : new StreamError("The server can't be reached.");
  }
  if (!response.ok) throw new StreamError(await reason(response), response.status);
  const type = response.headers.get("Content-Type") ?? "";
  if (!type.startsWith("text/event-stream"))
    throw new StreamError(`The answer is no event stream but "${type}".`, response.status);
  return response;
}

/** What an HTTP error says of itself: `{"error": "..."}`, plain text, or only its number. */
async function reason(response) {
  const type = response.headers.get("Content-Type") ?? "";
  const text = (await response.text().catch(() => "")).trim();
  if (type.startsWith("application/json")) {
    try {
      const { error, detail } = JSON.parse(text);
      const message = error?.message ?? error ?? detail;
      if (typeof message === "string") return message;
    } catch {
      // Not what it said it was: the number tells more.
    }
  } else if (type.startsWith("text/plain") && text) return text.slice(0, 500);
  return `The server answered ${response.status} ${response.statusText}`.trim();
}

function isOurs(error) {
  return error instanceof StreamError || error?.name === "AbortError";
}
