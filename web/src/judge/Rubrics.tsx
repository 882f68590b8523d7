// What a take is to be judged by: whoever does not see it judges something else.
import type { Run } from "../types";

export function Rubrics({ rubrics }: { rubrics: Run["rubrics"] }) {
  const list = Object.entries(rubrics);
  if (list.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="rubric">
      <h2 id="rubric">The rubric</h2>
      {list.map(([judge, rubric]) => (
        <div key={judge} class="rubric">
          <h3>{judge}</h3>
          {rubric.text !== "" && <p class="pre-line">{rubric.text}</p>}
          {rubric.criteria.length > 0 && <ol>{rubric.criteria.map((each, i) => <li key={i}>{each}</li>)}</ol>}
        </div>
      ))}
    </section>
  );
}
