// Runs an agent of AG-UI's own client once; prints the events that it took, what it
// made of them, and how its run ended.
import { HttpAgent } from "@ag-ui/client";

const [url, body = "{}"] = process.argv.slice(2);
const { messages = [], state, runId = "r1", ...parameters } = JSON.parse(body);

const seen = { events: [], error: null, warnings: [], newMessages: 0, finished: null };
for (const name of ["warn", "error"]) {
  console[name] = (...words) => seen.warnings.push(words.map(String).join(" "));
}

const agent = new HttpAgent({ url, threadId: "th1", initialMessages: messages, initialState: state });
try {
  const { newMessages } = await agent.runAgent({ runId, ...parameters }, {
    onEvent: ({ event }) => void seen.events.push(event),
    onRunErrorEvent: ({ event }) => void (seen.error = event.message),
    onRunFinishedEvent: (told) => void (seen.finished = told.outcome ?? null),
  });
  seen.newMessages = newMessages.length;
} catch (error) {
  seen.failed = { name: error.name, message: error.message, status: error.status };
}
console.log(JSON.stringify({ ...seen, messages: agent.messages }));
