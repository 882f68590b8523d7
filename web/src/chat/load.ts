// The models that can be talked to.
import { fail, get } from "../api";
import { chatSettings, models, ready } from "../store";
import { Models } from "../types";

export async function load_models(): Promise<void> {
  try {
    const { data } = await get("/v1/models", Models);
    const able = data.filter((model) => model.capabilities.includes("completion"));
    models.value = ready(able);
    const chosen = chatSettings.value.model;
    if (!able.some((model) => model.id === chosen)) {
      const first = able.find((model) => model.state === "ready") ?? able[0];
      chatSettings.value = { ...chatSettings.value, model: first?.id ?? "" };
    }
  } catch (problem) {
    fail(models, problem);
  }
}
