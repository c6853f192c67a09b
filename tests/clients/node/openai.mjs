// The openai client of npm. Prints what each way of reading tells of a reply:
//   openai.mjs URL '{"scenario": {...what to ask for...}, ...}'
// An answer is {told} or {error: {name, status, message}, texts: those that came before}.
import OpenAI from "openai";

const [url, asks] = process.argv.slice(2);

const counts = (usage) =>
  usage ? [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens] : null;

const whole = ({ choices: [{ message, finish_reason }], usage }) => ({
  text: message.content,
  reason: finish_reason,
  reasoning: message.reasoning_content ?? null,
  calls: (message.tool_calls ?? []).map((call) => [
    call.id,
    call.type,
    call.function.name,
    call.function.arguments,
  ]),
  usage: counts(usage),
});

async function raw(client, ask, texts) {
  const calls = [];
  let [reason, reasoning, usage] = [null, "", null];
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
    usage = counts(chunk.usage) ?? usage;
    for (const { delta, finish_reason } of chunk.choices) {
      reason = finish_reason ?? reason;
      if (delta.content) texts.push(delta.content);
      reasoning += delta.reasoning_content ?? "";
      for (const { index, id, type, function: named } of delta.tool_calls ?? []) {
        const known = (calls[index] ??= ["", "", "", ""]);
        [id, type, named.name, named.arguments].forEach((it, at) => (known[at] += it ?? ""));
      }
    }
  }
  return { text: texts.join("") || null, reason, reasoning: reasoning || null, calls, usage };
}

async function helper(client, ask, texts) {
  const stream = client.chat.completions.stream(ask);
  stream.on("content", (delta) => delta && texts.push(delta));
  return whole(await stream.finalChatCompletion());
}

const inOnePiece = async (client, { stream_options, ...ask }) =>
  whole(await client.chat.completions.create(ask));

const old = ({ messages, tools, ...ask }) => ({ ...ask, prompt: messages[0].content });

async function completions(client, ask, texts) {
  let [reason, usage] = [null, null];
  for await (const chunk of await client.completions.create({ ...old(ask), stream: true })) {
    usage = counts(chunk.usage) ?? usage;
    for (const choice of chunk.choices) {
      reason = choice.finish_reason ?? reason;
      if (choice.text) texts.push(choice.text);
    }
  }
  return { text: texts.join(""), reason, usage };
}

async function completion(client, { stream_options, ...ask }) {
  const { choices, usage } = await client.completions.create(old(ask));
  return { text: choices[0].text, reason: choices[0].finish_reason, usage: counts(usage) };
}

const WAYS = process.env.COMPLETIONS
  ? { completions, completion }
  : { raw, helper, inOnePiece };

async function read(way, scenario, ask) {
  const baseURL = `${url}/${scenario}/v1`;
  const client = new OpenAI({ baseURL, apiKey: "k", maxRetries: 0, timeout: 20_000 });
  const texts = [];
  try {
    return { told: await WAYS[way](client, ask, texts) };
  } catch (error) {
    const { status = null, message } = error;
    return { error: { name: error.constructor.name, status, message }, texts };
  }
}

const told = {};
for (const [scenario, ask] of Object.entries(JSON.parse(asks))) {
  told[scenario] = {};
  for (const way of Object.keys(WAYS)) told[scenario][way] = await read(way, scenario, ask);
}
console.log(JSON.stringify(told));
