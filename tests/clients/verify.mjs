// Reads deliveries as JSON lines {secret, headers, body} and checks each with the stock verifiers of both families. Prints
// one JSON line per delivery: the verifiers that accepted it.
import { verify as octokit } from "@octokit/webhooks-methods";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";
import { createInterface } from "node:readline";

const passes = async (check) => {
  try {
    return (await check()) !== false;
  } catch {
    return false;
  }
};

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  console.log(JSON.stringify({
    standardwebhooks: await passes(() => new Standard(secret).verify(body, headers)),
    svix: await passes(() => new Svix(secret).verify(body, headers)),
    octokit: await passes(() => octokit(secret, body, headers["x-matric-signature"])),
  }));
}
