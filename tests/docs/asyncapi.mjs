// Parses the AsyncAPI document on standard input and prints what the parser has to say about it as JSON.
import { text } from "node:stream/consumers";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await text(process.stdin));
const said = diagnostics.map((d) => ({ code: String(d.code), message: d.message, path: d.path.join("/"), line: d.range.start.line + 1 }));
console.log(JSON.stringify({ parsed: document !== undefined, version: document?.version(), said }));
