// Other machines that work for this one: none can, yet.
import { Command, Heading } from "../shell/States";

export function FleetView() {
  return (
    <>
      <Heading title="Fleet" below={<p class="dim">Machines that lend each other their models.</p>} />
      <section class="panel">
        <p>Nodes come when there are any: this server knows of none, and asks nobody.</p>
        <p>What works today is another server’s models behind this one’s address:</p>
        <Command line="lathe serve models/ --remote box=http://192.168.1.20:8080 --allow lan" />
        <p class="dim">Its models then stand on the Bench and in Chat like those that are here.</p>
      </section>
    </>
  );
}
