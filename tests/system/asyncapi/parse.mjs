// Parse one AsyncAPI document; print what it holds and every error (severity 0) as one JSON object.
import parser from "@asyncapi/parser";

const { document, diagnostics } = await parser.fromFile(new parser.Parser(), process.argv[2]).parse();
const errors = diagnostics.filter((d) => d.severity === 0).map((d) => `${d.path.join(".")}: ${d.message}`);
const holds = document && {
  version: document.version(),
  channels: document.channels().all().map((each) => each.id()),
  operations: document.operations().all().length,
  servers: document.servers().all().map((each) => each.id()),
  security: document.securitySchemes().all().map((each) => each.type()),
  replies: document.operations().all().filter((each) => each.reply()).length,
};
console.log(JSON.stringify({ errors, holds: holds ?? null }));
