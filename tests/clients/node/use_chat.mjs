// Renders the hook of a snippet, asks it by `ask`, and tells what the page then has.
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import { act, createElement } from "react";
import { create } from "react-test-renderer";

const [snippet, question] = process.argv.slice(2);
const page = pathToFileURL(snippet).href;

// The snippet is in a folder of the test's: its packages are those that are beside this file.
registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier, context.parentURL === page ? { ...context, parentURL: import.meta.url } : context),
});
const { useAssistant } = await import(page);

globalThis.IS_REACT_ACT_ENVIRONMENT = true;
let seen;
const Page = () => {
  seen = useAssistant();
  return null;
};
await act(async () => create(createElement(Page)));
await act(async () => seen.ask(question));
const { messages, status, error } = seen;
console.log(JSON.stringify({ messages, status, error: error?.message }));
