// Reads each scenario with the AI SDK: by its transport, which checks every chunk, by the chat
// behind `useChat`, which checks their order, and as `useCompletion` does. A second turn sends
// the first reply back.
import * as ai7 from "ai";
import * as ai5 from "ai5";
import * as ai6 from "ai6";

const [url, cutUrl, ...scenarios] = process.argv.slice(2);
const said = (error) => error && { name: error.name, message: error.message };
const question = { id: "u1", role: "user", parts: [{ type: "text", text: "hi" }] };

class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => this.messages.push(message);
  popMessage = () => this.messages.pop();
  replaceMessage = (index, message) => (this.messages[index] = message);
  snapshot = structuredClone;
}

async function transport({ DefaultChatTransport }, api, messages = [question]) {
  const chunks = [];
  try {
    const sending = { chatId: "transport", messages, trigger: "submit-message" };
    const stream = await new DefaultChatTransport({ api }).sendMessages(sending);
    for await (const chunk of stream) chunks.push(chunk);
    return { chunks };
  } catch (error) {
    return { chunks, error: said(error) };
  }
}

function chatOf(ai, api, id, options = {}) {
  class Chat extends ai.AbstractChat {}
  const told = { statuses: [], data: [], ends: [] };
  const state = new Proxy(new State(), {
    set(target, name, value) {
      if (name === "status") told.statuses.push(value);
      return Reflect.set(target, name, value);
    },
  });
  const chat = new Chat({
    id,
    state,
    transport: new ai.DefaultChatTransport({ api, body: { session: 5 } }),
    onData: ({ type, data }) => told.data.push([type, data]),
    onFinish: ({ message, messages, ...end }) => told.ends.push(end),
    ...options,
  });
  return [chat, told];
}

async function chat(ai, api, id) {
  const [chat, told] = chatOf(ai, api, id);
  await chat.sendMessage({ text: "hi" });
  const { status, error, lastMessage } = chat;
  const first = structuredClone({ status, error: said(error), message: lastMessage, ...told });
  if (status === "ready") await chat.sendMessage({ text: "again" });
  return { ...first, after: chat.status };
}

// The page runs the tools: what they give goes back, and the reply goes on with the message.
async function tools(ai, api, id) {
  const [chat] = chatOf(ai, api, id, {
    sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithToolCalls,
  });
  await chat.sendMessage({ text: "hi" });
  const give = (toolCallId, output) =>
    chat.addToolOutput({ tool: "any", toolCallId, ...output });
  await give("call_a", { output: { sun: true } });
  await give("call_b", { state: "output-error", errorText: "no such zone" });
  const deadline = Date.now() + 20_000;
  while (!(chat.status === "ready" && chat.lastMessage.parts.at(-1).type === "text")) {
    if (chat.status === "error" || Date.now() > deadline) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { status: chat.status, error: said(chat.error), messages: chat.messages };
}

async function completion({ callCompletionApi }, api) {
  const told = {};
  const nothing = () => {};
  await callCompletionApi({
    api,
    prompt: "hi",
    body: { session: 5 },
    setCompletion: (text) => (told.text = text),
    setLoading: nothing,
    setError: nothing,
    setAbortController: nothing,
    onFinish: (prompt, text) => (told.finished = text),
    onError: (error) => (told.error = said(error)),
  });
  return told;
}

const found = {};
for (const [version, ai] of Object.entries({ ai5, ai6, ai7 })) {
  const seen = {};
  for (const scenario of scenarios) {
    const api = `${url}/${scenario}/chat`;
    seen[scenario] = {
      transport: await transport(ai, api),
      chat: await chat(ai, api, `${version}-${scenario}`),
      completion: await completion(ai, api),
    };
  }
  found[version] = {
    scenarios: seen,
    tools: await tools(ai, `${url}/tools/chat`, `${version}-tools`),
    cut: await chat(ai, `${cutUrl}/text/chat`, `${version}-cut`),
    refused: await transport(ai, `${url}/text/chat`, []),
  };
}
console.log(JSON.stringify(found));
