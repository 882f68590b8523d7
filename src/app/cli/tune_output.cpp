// What a training leaves: the adapter or model, PEFT's files, the curve of the loss.
#include "app/cli/tune_output.h"

#include "ground/base/json.h"

namespace lathe::app {
namespace {

// "q_proj" of "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".
std::string module_of(const std::string& name) {
  const std::size_t end = name.rfind(".lora_"), start = name.rfind('.', end - 1);
  return name.substr(start + 1, end - start - 1);
}

}  // namespace

fs::path peft_directory(const fs::path& out) {
  fs::path directory = out;
  return directory.replace_extension(".peft");
}

Status write_adapter_files(const infer::TuneModel& model, const infer::LoraOptions& lora,
                           const std::string& base, const fs::path& out) {
  LATHE_TRY_STATUS(infer::write_adapter(model, lora.alpha, out));
  const std::vector<infer::PeftTensor> tensors = infer::peft_tensors(model);
  if (tensors.empty()) return {};  // nothing that is a module there
  std::vector<infer::SafeTensorData> data;
  Json modules = Json::array();
  for (const infer::PeftTensor& tensor : tensors) {
    data.push_back({tensor.name, tensor.shape, tensor.values});
    if (const std::string module = module_of(tensor.name);
        std::ranges::find(modules, Json(module)) == modules.end())
      modules.push_back(module);
  }
  const Json config{{"peft_type", "LORA"},
                    {"task_type", "CAUSAL_LM"},
                    {"base_model_name_or_path", base},
                    {"r", lora.rank},
                    {"lora_alpha", lora.alpha},
                    {"lora_dropout", 0.0},
                    {"target_modules", modules},
                    {"bias", "none"},
                    {"fan_in_fan_out", false},
                    {"use_rslora", false},
                    {"use_dora", false},
                    {"inference_mode", true}};
  const fs::path directory = peft_directory(out);
  LATHE_TRY_STATUS(make_directories(directory));
  LATHE_TRY_STATUS(infer::write_safetensors(directory / "adapter_model.safetensors", data));
  return write_file_atomic(directory / "adapter_config.json", dump_json(config, 2) + "\n");
}

Status write_loss_plot(std::span<const infer::CurvePoint> curve, const fs::path& out) {
  constexpr double kWidth = 720, kHeight = 360, kLeft = 50, kRight = 12, kTop = 16, kBottom = 34;
  constexpr double kMean = 0.9;  // that much of the running mean stays
  double most = 0;
  for (const infer::CurvePoint& point : curve)
    most = std::max({most, point.loss, point.validation.value_or(0)});
  most = most > 0 ? most * 1.05 : 1;
  const double tokens = std::max<double>(1, static_cast<double>(curve.back().tokens));
  const auto x = [&](const infer::CurvePoint& point) {
    return kLeft + static_cast<double>(point.tokens) / tokens * (kWidth - kLeft - kRight);
  };
  const auto y = [&](double loss) {
    return kHeight - kBottom - loss / most * (kHeight - kTop - kBottom);
  };
  std::string each, mean, dots, grid;
  double running = curve.front().loss;
  for (const infer::CurvePoint& point : curve) {
    running = kMean * running + (1 - kMean) * point.loss;
    each += fmt::format("{:.1f},{:.1f} ", x(point), y(point.loss));
    mean += fmt::format("{:.1f},{:.1f} ", x(point), y(running));
    if (point.validation)
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"#c2410c\"/>\n",
                          x(point), y(*point.validation));
  }
  for (int i = 0; i <= 4; ++i) {
    const double loss = most * i / 4;
    grid += fmt::format(
        "<path d=\"M{0} {1:.1f}H{2}\" stroke=\"#ddd\"/><text x=\"{3}\" y=\"{4:.1f}\" "
        "text-anchor=\"end\">{5:.2f}</text>\n",
        kLeft, y(loss), kWidth - kRight, kLeft - 6, y(loss) + 4, loss);
  }
  const std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n{2}"
      "<polyline points=\"{3}\" fill=\"none\" stroke=\"#bfd3ea\"/>\n"
      "<polyline points=\"{4}\" fill=\"none\" stroke=\"#1d4ed8\" stroke-width=\"1.5\"/>\n{5}"
      "<text x=\"{6}\" y=\"{7}\">loss of a trained token (nats) over {8} tokens; points: "
      "validation</text>\n</svg>\n",
      kWidth, kHeight, grid, each, mean, dots, kLeft, kHeight - 10, curve.back().tokens);
  fs::path path = out;
  return write_file_atomic(path.replace_extension(".loss.svg"), svg);
}

}  // namespace lathe::app
