// Who is in the fleet: whether it is there, what is in its way, and what models it has.
import { ago } from "../format";
import { now } from "../store";
import { Outcome, type Tone } from "../shell/Outcome";
import { Command } from "../shell/States";
import type { Nodes } from "../types";

type Node = Nodes["data"][number];

const kSilentMs = 30_000; // three heartbeats: then it is not there

function state_of(node: Node): [string, Tone] {
  if (node.state === "quarantined") return ["in quarantine", "fail"];
  if (node.state !== "active") return [node.state, "doubt"];
  if (node.seen === null || now.value - Date.parse(node.seen) > kSilentMs) return ["away", "idle"];
  return node.load.busy === "" ? ["takes work", "pass"] : ["busy", "busy"];
}

function NodeRow({ node }: { node: Node }) {
  const [word, tone] = state_of(node);
  const workers = node.caps.filter((cap) => cap.startsWith("worker:")).map((cap) => cap.slice("worker:".length));
  const models = Object.keys(node.load.canary);
  return (
    <tr>
      <th scope="row">{node.name}</th>
      <td><Outcome word={word} tone={tone} /></td>
      <td class="dim">
        {node.tier}, {node.clearance}, seen {node.seen === null ? "never" : ago(Date.parse(node.seen), now.value)}
        {node.load.busy !== "" && <><br />{node.load.busy}</>}
        {workers.length > 0 && <><br />workers: {workers.join(", ")}</>}
        {models.length > 0 && <><br />canaries of {models.join(", ")}</>}
      </td>
    </tr>
  );
}

export function NodesPanel({ nodes }: { nodes: Nodes }) {
  const broken = nodes.data.find((node) => node.state === "quarantined");
  return (
    <section class="panel" aria-labelledby="nodes">
      <h2 id="nodes">Nodes</h2>
      <p class="dim">of the fleet at {nodes.fleet}</p>
      {!nodes.own && <p class="dim">This machine was invited: who is in the fleet is shown where <code>lathe fleet init</code> was.</p>}
      {nodes.data.length > 0 && (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="nodes of the fleet">
          <table class="lines">
            <thead><tr><th scope="col">node</th><th scope="col">state</th><th scope="col">what</th></tr></thead>
            <tbody>{nodes.data.map((node) => <NodeRow key={node.id} node={node} />)}</tbody>
          </table>
        </div>
      )}
      {broken !== undefined && <Command line={`lathe fleet admit ${broken.name}`} />}
    </section>
  );
}
