// Answers as sound, by the voices of the server. The page's policy lets a script play what it has fetched, and no other address.
import { ask, fault_of, get } from "../api";
import { chatFault, speaking, voices } from "../store";
import { Voices } from "../types";

let player: AudioContext | null = null;
let wanted = 0; // what is on its way belongs to the last one that was asked for

export async function load_voices(): Promise<void> {
  try {
    voices.value = (await get("/v1/audio/voices", Voices)).data.length;
  } catch {
    voices.value = 0; // it is offered where it can be had
  }
}

// Words without the marks of Markdown, and without code.
export function spoken_text(text: string): string {
  return text.replace(/```[^]*?(```|$)/g, " ").replace(/[*_`#>|]+/g, " ").replace(/\s+/g, " ").trim();
}

export function stop_speech(): void {
  ++wanted;
  speaking.value = null;
  void player?.close();
  player = null;
}

export async function speak(turn: number, text: string): Promise<void> {
  stop_speech();
  const mine = wanted;
  speaking.value = turn;
  const context = (player = new AudioContext());
  try {
    const answer = await ask("POST", "/v1/audio/speech", { input: spoken_text(text), response_format: "wav" });
    const sound = await context.decodeAudioData(await answer.arrayBuffer());
    if (mine !== wanted) return;
    const source = new AudioBufferSourceNode(context, { buffer: sound });
    source.connect(context.destination);
    source.onended = () => mine === wanted && stop_speech();
    source.start();
  } catch (problem) {
    if (mine !== wanted) return;
    stop_speech();
    chatFault.value = fault_of(problem).message;
  }
}
