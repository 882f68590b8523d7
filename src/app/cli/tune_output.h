// The files of a training: an adapter as GGUF (OUT), and beside it the directory that PEFT loads;
// the loss as a picture.
#pragma once

#include "infer/tune/output.h"
#include "infer/tune/trainer.h"

namespace lathe::app {

// "a/b.gguf" → "a/b.peft".
fs::path peft_directory(const fs::path& out);
Status write_adapter_files(const infer::TuneModel& model, const infer::LoraOptions& lora,
                           const std::string& base, const fs::path& out);

// Training loss (a line, and its running mean) and validation loss (points) over the tokens, as
// SVG: "a/b.gguf" → "a/b.loss.svg".
Status write_loss_plot(std::span<const infer::CurvePoint> curve, const fs::path& out);

}  // namespace lathe::app
