// What would leave this machine, to be read before it does: nothing asks yet.
import { Command, Heading } from "../shell/States";

export function ConsentView() {
  return (
    <>
      <Heading title="Consent" below={<p class="dim">The exact text that would leave, before it leaves.</p>} />
      <section class="panel">
        <p>Nothing waits for your word. Requests for consent come when there are nodes that may be asked for more than a run was allowed.</p>
        <p>Until then a run’s prompts travel no farther than its recipe and its command line say, and who was spoken to is written down:</p>
        <Command line="lathe egress" />
      </section>
    </>
  );
}
