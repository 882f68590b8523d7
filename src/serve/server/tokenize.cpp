// POST /tokenize, /detokenize, /apply-template
#include "serve/server/answer.h"
#include "serve/server/chat_request.h"
#include "serve/server/endpoints.h"
#include "serve/server/text_inputs.h"

namespace lathe::serve {

// llama-server's body says `content`, vLLM's `prompt`; the answer has what either's clients read.
Handled tokenize(ModelHost& host, Call& call) {
  Fields body(call.body);
  const auto content = body.text("content");
  const auto prompt = body.text("prompt");
  if (!content && !prompt) body.refuse("content", "is missing");
  const bool add_special =
      body.flag("add_special", false) || body.flag("add_special_tokens", false);
  const bool parse_special = body.flag("parse_special", true);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(const std::string model, model_of(host, call));
  LATHE_TRY(const ModelInfo info, model_info(host, model));
  return answer_tokens(
      host, call,
      [&](ModelHost::OnTokens on_tokens) {
        return host.tokenize(model, content ? *content : *prompt, add_special, parse_special,
                             std::move(on_tokens));
      },
      [context = info.context](const std::vector<std::int32_t>& ids) {
        return json_reply({{"tokens", ids}, {"count", ids.size()}, {"max_model_len", context}});
      });
}

Handled detokenize(ModelHost& host, Call& call) {
  Fields body(call.body);
  if (body.array("tokens").empty() && body.has("tokens"))
    return json_reply({{"content", ""}, {"prompt", ""}});
  LATHE_TRY(const std::vector<TextInput> inputs, text_inputs(body, "tokens", 1));
  if (inputs[0].ids.empty()) return refuse("'tokens' must be an array of token ids", "tokens");
  const bool special = body.flag("special", false);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(const std::string model, model_of(host, call));
  const auto text = host.detokenize(model, inputs[0].ids, special);
  if (!text) return std::unexpected(api_error(text.error()));
  return json_reply({{"content", *text}, {"prompt", *text}});
}

// The prompt that a talk comes to: as text and as tokens.
Handled apply_template(ModelHost& host, Call& call) {
  LATHE_TRY(const Request request, chat_request(call.body));
  LATHE_TRY(const std::string model, model_of(host, call));
  return answer_tokens(
      host, call,
      [&](ModelHost::OnTokens on_tokens) {
        return host.prompt_of(model, request, std::move(on_tokens));
      },
      [&host, model](const std::vector<std::int32_t>& ids) -> ApiResult<HttpReply> {
        const auto text = host.detokenize(model, ids, true);
        if (!text) return std::unexpected(api_error(text.error()));
        return json_reply({{"prompt", *text}, {"tokens", ids}});
      });
}

}  // namespace lathe::serve
