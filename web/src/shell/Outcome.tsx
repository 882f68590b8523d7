// What came of something: a colour, a glyph and a word, so that none of them is needed alone.

export type Tone = "pass" | "fail" | "doubt" | "busy" | "gain" | "idle";

const kGlyphs: Record<Tone, string> = { pass: "✓", fail: "✕", doubt: "?", busy: "◌", gain: "▲", idle: "·" };

const kTones: Record<string, Tone> = {
  passed: "pass", pass: "pass", ready: "pass", ok: "pass",
  failed: "fail", fail: "fail", gave_up: "fail", error: "fail", problem: "fail", unreadable: "fail",
  not_judged: "doubt", "not judged": "doubt", abstain: "doubt", partial: "doubt", note: "doubt", stopped: "doubt", "not ended": "busy",
  running: "busy", open: "busy", loading: "busy", queued: "idle", cold: "idle",
};

export function tone_of(word: string): Tone {
  return kTones[word] ?? "idle";
}

export function glyph_of(tone: Tone): string {
  return kGlyphs[tone];
}

export function Outcome({ word, tone = tone_of(word) }: { word: string; tone?: Tone }) {
  return (
    <span class={`outcome ${tone}`}>
      <span class="glyph" aria-hidden="true">{kGlyphs[tone]}</span>
      {word.replaceAll("_", " ")}
    </span>
  );
}
