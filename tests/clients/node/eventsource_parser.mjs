// eventsource-parser: the events and comments of one stream, as it tells them.
//   eventsource_parser.mjs URL BODY
import { createParser } from "eventsource-parser";

const [url, body] = process.argv.slice(2);

const told = { events: [], comments: [], retries: [], errors: [], cut: null };
const parser = createParser({
  onEvent: (event) => told.events.push(event),
  onComment: (comment) => told.comments.push(comment),
  onRetry: (retry) => told.retries.push(retry),
  onError: (error) => told.errors.push(error.type),
});

const headers = { "content-type": "application/json" };
const response = await fetch(url, { method: "POST", headers, body });
told.type = response.headers.get("content-type");
const decoder = new TextDecoder();
try {
  for await (const bytes of response.body) parser.feed(decoder.decode(bytes, { stream: true }));
} catch (error) {
  told.cut = error.message;
}
console.log(JSON.stringify(told));
