// The sampler's settings as command line options.
#include "app/cli/sampler_flags.h"

#include <charconv>
#include <variant>

#include "ground/base/text.h"

namespace lathe::app {
namespace {

struct Setting {
  const char* name;  // of the flag, without dashes
  const char* help;
  std::variant<float infer::SamplerParams::*, std::int32_t infer::SamplerParams::*> member;
};

constexpr Setting kSettings[] = {
    {"temp", "Temperature; 0 takes the most likely token", &infer::SamplerParams::temperature},
    {"dynatemp-range", "Temperature varies by this with the entropy",
     &infer::SamplerParams::dynatemp_range},
    {"dynatemp-exponent", "Exponent of that", &infer::SamplerParams::dynatemp_exponent},
    {"top-k", "Keep the k most likely tokens; 0: off", &infer::SamplerParams::top_k},
    {"top-p", "Keep the most likely tokens up to this probability; 1: off",
     &infer::SamplerParams::top_p},
    {"min-p", "Drop tokens less likely than this times the best; 0: off",
     &infer::SamplerParams::min_p},
    {"typical", "Keep tokens of typical surprise up to this probability; 1: off",
     &infer::SamplerParams::typical_p},
    {"top-n-sigma", "Drop tokens so many deviations below the best; 0: off",
     &infer::SamplerParams::top_n_sigma},
    {"xtc-probability", "How often the most likely tokens are left out; 0: off",
     &infer::SamplerParams::xtc_probability},
    {"xtc-threshold", "Which ones: at least so likely", &infer::SamplerParams::xtc_threshold},
    {"repeat-last-n", "Tokens that the penalties look back on; 0: off",
     &infer::SamplerParams::repeat_last_n},
    {"repeat-penalty", "Divides the logits of repeated tokens; 1: off",
     &infer::SamplerParams::repeat_penalty},
    {"presence-penalty", "Taken off repeated tokens", &infer::SamplerParams::presence_penalty},
    {"frequency-penalty", "Taken off for every repetition",
     &infer::SamplerParams::frequency_penalty},
    {"dry-multiplier", "Penalty for going on with a repeated passage; 0: off",
     &infer::SamplerParams::dry_multiplier},
    {"dry-base", "Its growth by length", &infer::SamplerParams::dry_base},
    {"dry-allowed-length", "Length that goes free", &infer::SamplerParams::dry_allowed_length},
    {"dry-penalty-last-n", "Tokens it looks back on", &infer::SamplerParams::dry_last_n},
    {"mirostat", "Mirostat 1 or 2; 0: off", &infer::SamplerParams::mirostat},
    {"mirostat-ent", "Its target surprise τ", &infer::SamplerParams::mirostat_tau},
    {"mirostat-lr", "Its learning rate η", &infer::SamplerParams::mirostat_eta},
};

template <class T>
Status parse_into(T& out, std::string_view name, std::string_view text) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc() && end == text.data() + text.size()) return {};
  return invalid("{} is '{}'; it must be {}", name, text,
                 std::is_integral_v<T> ? "a whole number" : "a number");
}

}  // namespace

void add_sampler_flags(CLI::App& command, infer::SamplerParams& params) {
  for (const Setting& setting : kSettings) {
    std::visit(
        [&](auto member) {
          command.add_option(fmt::format("--{}", setting.name), params.*member, setting.help)
              ->capture_default_str()
              ->group("Sampling");
        },
        setting.member);
  }
}

Status set_sampler(infer::SamplerParams& params, std::string_view name, std::string_view value,
                   std::size_t vocabulary) {
  infer::SamplerParams changed = params;
  std::vector<std::string> names{"seed"};
  bool found = false;
  if (name == "seed") {
    LATHE_TRY_STATUS(parse_into(changed.seed, name, value));
    found = true;
  }
  for (const Setting& setting : kSettings) {
    names.emplace_back(setting.name);
    if (name != setting.name) continue;
    LATHE_TRY_STATUS(std::visit(
        [&](auto member) { return parse_into(changed.*member, name, value); }, setting.member));
    found = true;
  }
  if (!found) return invalid("there is no setting '{}'{}", name, did_you_mean(name, names));
  LATHE_TRY_STATUS(infer::check_sampler(changed, vocabulary));
  params = std::move(changed);
  return {};
}

std::string describe_sampler(const infer::SamplerParams& params) {
  const infer::SamplerParams plain;
  std::string out = fmt::format("seed {}", params.seed);
  for (const Setting& setting : kSettings) {
    std::visit(
        [&](auto member) {
          const bool main = &setting < kSettings + 6;
          if (main || params.*member != plain.*member)
            out += fmt::format(", {} {}", setting.name, params.*member);
        },
        setting.member);
  }
  return out;
}

}  // namespace lathe::app
