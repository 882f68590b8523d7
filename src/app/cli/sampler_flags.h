// The sampler's settings as flags of a command and as `/set NAME VALUE` of a chat: one table for
// both.
#pragma once

#include "app/cli/app.h"
#include "infer/engine/sampler.h"

namespace lathe::app {

void add_sampler_flags(CLI::App& command, infer::SamplerParams& params);
// Errors name the setting and the values it may have.
Status set_sampler(infer::SamplerParams& params, std::string_view name, std::string_view value,
                   std::size_t vocabulary);
// "temp 0.8, top-k 40, …": those that are not off.
std::string describe_sampler(const infer::SamplerParams& params);

}  // namespace lathe::app
