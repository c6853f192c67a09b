// The anthropic client of npm. Prints what each way of reading tells of a message:
//   anthropic.mjs URL '{...what to ask for...}' SCENARIO...
// An answer is {told} or {error: {name, status, type, message}, text: what came before}.
import Anthropic from "@anthropic-ai/sdk";

const [url, ask, ...scenarios] = process.argv.slice(2);

const whole = ({ content, stop_reason, usage }) => ({
  content,
  reason: stop_reason,
  usage: [usage.input_tokens, usage.output_tokens],
});

const APPEND = { text_delta: "text", thinking_delta: "thinking", signature_delta: "signature" };

async function raw(client, ask, said) {
  const [content, inputs] = [[], []];
  let [reason, usage, ended] = [null, null, false];
  for await (const event of await client.messages.create({ ...ask, stream: true })) {
    if (ended) throw new Error(`${event.type} came after the end`);
    const { index, delta } = event;
    switch (event.type) {
      case "message_start":
        usage = event.message.usage;
        break;
      case "content_block_start":
        if (index !== content.push(event.content_block) - 1) throw new Error("not in order");
        break;
      case "content_block_delta":
        if (index !== content.length - 1) throw new Error("not the open block");
        if (delta.type === "text_delta") said.push(delta.text);
        if (delta.type in APPEND) content[index][APPEND[delta.type]] += delta[APPEND[delta.type]];
        if (delta.type === "citations_delta") (content[index].citations ??= []).push(delta.citation);
        if (delta.type === "input_json_delta")
          inputs[index] = (inputs[index] ?? "") + delta.partial_json;
        break;
      case "content_block_stop":
        if (inputs[index]) content[index].input = JSON.parse(inputs[index]);
        break;
      case "message_delta":
        reason = delta.stop_reason;
        usage = { ...usage, ...event.usage };
        break;
      case "message_stop":
        ended = true;
    }
  }
  return whole({ content, stop_reason: ended ? reason : "none", usage });
}

async function helper(client, ask, said) {
  const stream = client.messages.stream(ask);
  stream.on("text", (delta) => said.push(delta));
  return whole(await stream.finalMessage());
}

const inOnePiece = async (client, ask) => whole(await client.messages.create(ask));

const WAYS = { raw, helper, inOnePiece };

async function read(way, scenario) {
  const options = { baseURL: `${url}/${scenario}`, apiKey: "k", maxRetries: 0, timeout: 20_000 };
  const said = [];
  try {
    return { told: await WAYS[way](new Anthropic(options), JSON.parse(ask), said) };
  } catch (error) {
    const { status = null, type = null, message } = error;
    const { name } = error.constructor;
    return { error: { name, status, type, message }, text: said.join("") };
  }
}

const told = {};
for (const scenario of scenarios) {
  told[scenario] = {};
  for (const way of Object.keys(WAYS)) told[scenario][way] = await read(way, scenario);
}
console.log(JSON.stringify(told));
