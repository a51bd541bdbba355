// Reads AsyncAPI documents from standard input, one a line; says of each what is wrong with it, one line of JSON.
const fs = require("fs");
const Ajv = require("ajv");
const formats = require("ajv-formats");
const schema = require("@asyncapi/specs/schemas/3.0.0.json");

delete schema.definitions["http://json-schema.org/draft-07/schema"]; // Ajv brings its own
const options = { strict: false, allErrors: true };
const ajv = new Ajv({ ...options, validateFormats: false });
const form = ajv.compile(schema);

// Every example of a message against that message's own payload.
function examples(document) {
  const payloads = formats(new Ajv(options)).addSchema({ $id: "document", components: document.components });
  return Object.entries(document.components?.messages ?? {}).flatMap(([name, message]) => {
    const check = payloads.compile({ $ref: `document#/components/messages/${name}/payload` });
    return (message.examples ?? []).flatMap((one) => (check(one.payload) ? [] : check.errors.map((e) => `${name}: ${e.instancePath} ${e.message}`)));
  });
}

for (const line of fs.readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const document = JSON.parse(line);
  const wrong = form(document) ? examples(document) : form.errors.map((e) => `${e.instancePath} ${e.message}`);
  console.log(JSON.stringify(wrong));
}
