// Drives a headless Chromium for the Go tests: reads a JSON line {id, page, op, …} for each thing to do, and answers each with
// {id, value} or {id, error}. The first argument is the browser's path. It ends when standard input does.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../clients/package.json", import.meta.url)); // where the packages are installed
const { chromium } = require("playwright-core");

const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const pages = new Map();
const operations = {
  // A context of its own: pages share no connections, no cache and no storage.
  async open(name, { url, width = 1280, height = 800, dark }) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? "dark" : "light", ignoreHTTPSErrors: true });
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(`${name}: ${error.message}`));
    pages.set(name, page);
    await page.goto(url);
  },
  evaluate: (name, { script }) => pages.get(name).evaluate(script),
  // await returns the first value of the script that is true.
  async await(name, { script, timeout }) {
    const handle = await pages.get(name).waitForFunction(script, undefined, { timeout, polling: 20 });
    return handle.jsonValue();
  },
  screenshot: async (name, { path }) => void (await pages.get(name).screenshot({ path })),
  close: async (name) => void (await pages.get(name).context().close()),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, page, op, ...rest } = JSON.parse(line);
  operations[op](page, rest).then(
    (value) => console.log(JSON.stringify({ id, value })),
    (error) => console.log(JSON.stringify({ id, error: error.message })),
  );
}
await browser.close();
