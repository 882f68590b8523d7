// Talks that the server keeps for whoever has them: written behind each answer, found again, forgotten.
import { ask, fail, fault_of, get, post, Refused } from "../api";
import { go, to_chat } from "../router";
import { attachments, chatFault, chats, chatSearch, chatSettings, draft, forgetting, keepTalks, kept, ready, route, turns } from "../store";
import { ChatBook, KeptChat, KeptRow } from "../types";
import { leave_answer } from "./talk";

const kPage = 30;
interface Talk {
  kept: Promise<KeptRow | null>; // what the server has of it, once all that was written is there
}
let talk: Talk = { kept: Promise.resolve(null) };
let asked = 0; // an answer that comes late belongs to the words that were typed then

export async function load_chats(more = false): Promise<void> {
  const mine = ++asked;
  const known = more && chats.value.state === "ready" ? chats.value.value.data : [];
  try {
    const book = await get(`/v1/chats?limit=${kPage}&from=${known.length}&search=${encodeURIComponent(chatSearch.value)}`, ChatBook);
    if (mine === asked) chats.value = ready({ ...book, data: [...known, ...book.data] });
  } catch (problem) {
    if (mine === asked) fail(chats, problem);
  }
}

// The talk as it stands now, in place of what was kept of it; one after the other.
export function keep_talk(): Promise<void> {
  if (!keepTalks.value || turns.value.length === 0) return Promise.resolve();
  const said = { turns: turns.value.map(({ open, ...turn }) => turn), settings: chatSettings.value, model: chatSettings.value.model };
  const mine = talk;
  const after = mine.kept.then((before) => write(mine, before, said));
  mine.kept = after;
  return after.then(() => undefined);
}

async function write(mine: Talk, before: KeptRow | null, said: object): Promise<KeptRow | null> {
  try {
    const now = before === null ? await post("/v1/chats", said, KeptRow) : await post(`/v1/chats/${encodeURIComponent(before.id)}`, { ...said, seen: before.revision }, KeptRow);
    void load_chats();
    if (mine !== talk) return now; // another one was taken up meanwhile
    kept.value = now;
    if (route.value.view === "chat" && route.value.id !== now.id) go(to_chat(now.id), true);
    return now;
  } catch (problem) {
    const status = problem instanceof Refused ? problem.fault.status : 0;
    // Nothing of another window's is overwritten.
    if (before !== null && status === 409) {
      chatFault.value = "This talk was gone on with in another window; here it is kept as one of its own.";
      return write(mine, null, said);
    }
    // Nothing that was forgotten comes back by itself.
    if (before !== null && status === 404) {
      if (mine === talk) keepTalks.value = false;
      chatFault.value = "This talk was forgotten elsewhere, and is no longer kept.";
      return null;
    }
    chatFault.value = `This talk is not kept: ${fault_of(problem).message}`;
    return before;
  }
}

function take_up(row: KeptRow | null): void {
  talk = { kept: Promise.resolve(row) };
  kept.value = row;
}

export function new_talk(): void {
  leave_answer();
  turns.value = [];
  take_up(null);
  chatFault.value = "";
  go(to_chat(""));
}

export async function open_talk(id: string): Promise<void> {
  if (id === "" || id === kept.value?.id) return;
  leave_answer();
  try {
    const chat = await get(`/v1/chats/${encodeURIComponent(id)}`, KeptChat);
    if (route.value.id !== id) return;
    take_up({ id: chat.id, revision: chat.revision });
    turns.value = chat.turns.map((turn) => ({ ...turn, open: false }));
    chatSettings.value = chat.settings;
    draft.value = "";
    attachments.value = [];
    chatFault.value = "";
  } catch (problem) {
    chatFault.value = fault_of(problem).message;
  }
}

export async function forget_talk(id: string): Promise<void> {
  forgetting.value = "";
  try {
    await ask("DELETE", `/v1/chats/${encodeURIComponent(id)}`);
    if (kept.value?.id === id) new_talk();
  } catch (problem) {
    chatFault.value = fault_of(problem).message;
  }
  void load_chats();
}
