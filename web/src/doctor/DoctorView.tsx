// What is well with this machine and what is not, with a remedy for each.
import { counted } from "../format";
import { doctor } from "../store";
import { Outcome } from "../shell/Outcome";
import { Heading, When } from "../shell/States";

const kOrder = ["problem", "note", "ok"];

export function DoctorView() {
  return (
    <>
      <Heading title="Doctor" below={<p class="dim">What this machine can do, and the remedy for what it cannot.</p>} />
      <When of={doctor.value} what="the findings">
        {({ findings }) => {
          const problems = findings.filter((each) => each.grade === "problem").length;
          const list = [...findings].sort((a, b) => kOrder.indexOf(a.grade) - kOrder.indexOf(b.grade));
          return (
            <>
              <p class="choose">{problems === 0 ? "Nothing stands in the way." : `${counted(problems, "problem")} to mend.`}</p>
              <ul class="findings">
                {list.map((each, i) => (
                  <li key={i}>
                    <Outcome word={each.grade} /><strong>{each.what}</strong><span>{each.found}</span>
                    {each.remedy !== "" && <span class="remedy">→ {each.remedy}</span>}
                  </li>
                ))}
              </ul>
            </>
          );
        }}
      </When>
    </>
  );
}
