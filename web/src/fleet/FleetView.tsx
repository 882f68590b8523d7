// The fleet's nodes, and plans: their tasks, side by side and put together, as far as their judges have said.
import { to_run } from "../router";
import { NodesPanel } from "./NodesPanel";
import { nodes, plans } from "../store";
import { Outcome, type Tone } from "../shell/Outcome";
import { Command, Empty, Heading, When } from "../shell/States";
import type { Plans } from "../types";

type Plan = Plans["data"][number];
type Part = Plan["merge"];

const kTones: Record<string, Tone> = { begun: "busy", passed: "pass", failed: "fail", not_judged: "doubt" };
const kWords: Record<string, string> = { not_judged: "not judged" };

function State({ state }: { state: string }) {
  return <Outcome word={kWords[state] ?? state} tone={kTones[state] ?? "idle"} />;
}

function PartRow({ name, part, about }: { name: string; part: Part; about: string }) {
  return (
    <tr>
      <th scope="row">{part.run === "" ? name : <a href={to_run(part.run)}>{name}</a>}</th>
      <td><State state={part.state} /></td>
      <td class="dim">{about}{part.why !== "" && <><br />{part.why}</>}{part.round > 1 && <><br />round {part.round}: the merge sent it back</>}</td>
    </tr>
  );
}

function about_task(task: Plan["tasks"][number]): string {
  const after = task.deps.length > 0 ? `, after ${task.deps.join(", ")}` : "";
  return `${task.maker}, ${task.privacy}, writes ${task.writes.join(", ")}${after}`;
}

function PlanPanel({ plan }: { plan: Plan }) {
  const passed = plan.tasks.filter((task) => task.state === "passed").length;
  return (
    <section class="panel" aria-labelledby={`plan-${plan.id}`}>
      <header class="unit-head"><h2 id={`plan-${plan.id}`}>{plan.goal}</h2><State state={plan.result ?? "begun"} /></header>
      <p class="dim">{plan.id}: {passed} of {plan.tasks.length} tasks passed{plan.why !== "" && `; ${plan.why}`}</p>
      <div class="table-scroll" tabIndex={0} role="region" aria-label={`tasks of ${plan.id}`}>
        <table class="lines">
          <thead><tr><th scope="col">task</th><th scope="col">state</th><th scope="col">what</th></tr></thead>
          <tbody>
            {plan.tasks.map((task) => <PartRow key={task.id} name={task.id} part={task} about={about_task(task)} />)}
            <PartRow name="merge" part={plan.merge} about="all of it put together, judged as a whole" />
          </tbody>
        </table>
      </div>
      {plan.result === null && <Command line={`lathe fleet resume ${plan.id}`} />}
    </section>
  );
}

export function FleetView() {
  return (
    <>
      <Heading title="Fleet" below={<p class="dim">Plans, task by task. A task has passed when its judges say so, a plan when the whole does.</p>} />
      <When of={nodes.value} what="the nodes">{(value) => value.fleet !== null && <NodesPanel nodes={value} />}</When>
      <When of={plans.value} what="the plans">
        {(value) =>
          value.data.length === 0 ? (
            <Empty title="No plan was carried out here yet." command="lathe plan TASK.md --planner WORKER"><p class="dim">A plan cuts a piece of work into tasks that are made side by side. A model writes one:</p></Empty>
          ) : (
            <>{value.data.map((plan) => <PlanPanel key={plan.id} plan={plan} />)}</>
          )
        }
      </When>
    </>
  );
}
