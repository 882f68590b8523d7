// Talk with any model that is served.
import { useEffect } from "preact/hooks";
import { chatFault, chatSettings, models, recipeShown, turns } from "../store";
import { Empty, Heading, When } from "../shell/States";
import { Composer } from "./Composer";
import { TalkList } from "./TalkList";
import { new_talk } from "./kept";
import { recipe_text } from "./talk";
import { Settings } from "./Settings";
import { TurnNote } from "./TurnNote";

function RecipeText() {
  return (
    <section class="panel" aria-labelledby="recipe">
      <h2 id="recipe">This talk as a recipe</h2>
      <p class="dim">Save it as <code>my-recipe.toml</code>, then: <code>lathe loop my-recipe.toml --input input.txt --out made --worker writer={location.origin}/v1#{chatSettings.value.model || "MODEL"}</code></p>
      {chatSettings.value.schema.trim() !== "" && <p class="dim">The schema goes beside it, as <code>answer.schema.json</code>.</p>}
      <textarea class="mono" rows={18} readOnly value={recipe_text()} aria-label="recipe" onFocus={(event) => event.currentTarget.select()} />
    </section>
  );
}

export function ChatView() {
  useEffect(() => {
    scrollTo(0, document.body.scrollHeight);
  }, [turns.value.length]);
  return (
    <>
      <Heading title="Chat">
        {turns.value.length > 0 && (
          <>
            <button type="button" aria-expanded={recipeShown.value} onClick={() => (recipeShown.value = !recipeShown.value)}>Make this a recipe</button>
            <button type="button" onClick={new_talk}>New talk</button>
          </>
        )}
      </Heading>
      <When of={models.value} what="the models">
        {(list) =>
          list.length === 0 ? (
            <Empty title="No model here can talk." command="lathe pull hf:Qwen/Qwen3-0.6B-GGUF"><p class="dim">Then start the server again.</p></Empty>
          ) : (
            <div class="chat">
              <div class="talk">
                {recipeShown.value && <RecipeText />}
                {turns.value.length === 0 && <p class="talk-empty">Ask something. The same question with the same seed has the same answer, to the last bit.</p>}
                <ol class="turns" aria-label="The talk">
                  {turns.value.map((turn, i) => <TurnNote key={i} turn={turn} index={i} last={i === turns.value.length - 1} />)}
                </ol>
                {chatFault.value !== "" && <p class="fail-text" role="alert">{chatFault.value}</p>}
                <Composer models={list} />
              </div>
              <div class="beside">
                <Settings models={list} />
                <TalkList />
              </div>
            </div>
          )
        }
      </When>
    </>
  );
}
