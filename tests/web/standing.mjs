// Views as they stand: a page as one file of HTML that looks the same and runs nothing.

// All that can be reached; ID is a run's.
export const kPlaces = ["bench", "runs", "runs/ID", "runs/ID/units/0", "chat", "judge", "judge/ID", "fit", "ledger", "benchmarks", "catalog", "fleet", "consent", "doctor", "more"];

export const settled = (page) => page.waitForFunction(() => document.querySelector("h1") && !document.querySelector(".skeleton") && [...document.images].every((each) => each.complete));

export async function standing(page) {
  await settled(page);
  return page.evaluate(async () => {
    const data_of = async (address) => {
      const bytes = await (await fetch(address)).blob();
      return new Promise((done) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result);
        reader.readAsDataURL(bytes);
      });
    };
    const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).map((rule) => rule.cssText).join("\n");
    const copy = document.documentElement.cloneNode(true);
    copy.querySelectorAll("script, link").forEach((each) => each.remove());
    const style = document.createElement("style");
    style.textContent = rules;
    copy.querySelector("head").append(style);
    // What is typed, chosen and scrolled is no attribute.
    const twins = (selector) => [...document.querySelectorAll(selector)].map((each, i) => [each, copy.querySelectorAll(selector)[i]]);
    for (const [live, still] of twins("input")) still.setAttribute("value", live.value);
    for (const [live, still] of twins("textarea")) still.textContent = live.value;
    for (const [live, still] of twins("option")) still.toggleAttribute("selected", live.selected);
    for (const [live, still] of twins("img")) still.setAttribute("src", await data_of(live.src));
    copy.querySelectorAll("audio, video").forEach((each) => each.removeAttribute("src"));
    return `<!doctype html>${copy.outerHTML}`;
  });
}
