// Reads each scenario with the openai client: by its `.stream()`, raw, and whole. What came
// is sent back with the results of its calls, as a second turn.
import OpenAI from "openai";

const [url, ...scenarios] = process.argv.slice(2);
const model = "m";
const question = { role: "user", content: "hi" };

const ways = {
  async helper(client, input, events) {
    const stream = client.responses.stream({ model, input });
    stream.on("event", (event) => events.push(event));
    return await stream.finalResponse();
  },
  async raw(client, input, events) {
    const stream = await client.responses.create({ model, input, stream: true });
    for await (const event of stream) events.push(event);
    return events.at(-1).response;
  },
  async whole(client, input) {
    return await client.responses.create({ model, input });
  },
};

const idsOf = ({ output }, type) =>
  output.filter((item) => item.type === type).map((item) => item.call_id);

function results(response) {
  const done = idsOf(response, "function_call_output");
  return idsOf(response, "function_call")
    .filter((call_id) => !done.includes(call_id))
    .map((call_id) => ({ type: "function_call_output", call_id, output: `${call_id} done` }));
}

async function seen(way, client) {
  const events = [];
  try {
    const response = await way(client, [question], events);
    if (response) await way(client, [question, ...response.output, ...results(response)], []);
    return { events, response };
  } catch (error) {
    const { status = null, message } = error;
    return { events, error: [error.constructor.name, status, message] };
  }
}

const found = {};
for (const scenario of scenarios) {
  const baseURL = `${url}/${scenario}/v1`;
  const client = new OpenAI({ baseURL, apiKey: "k", maxRetries: 0, timeout: 20_000 });
  found[scenario] = {};
  for (const name of Object.keys(ways)) {
    found[scenario][name] = await seen(ways[name], client);
  }
}
console.log(JSON.stringify(found));
