// Which device is meant by a name, and whether its bits are known to be right.
#include "app/cli/devices.h"

#include <charconv>

#include "ground/base/file.h"
#include "ground/base/hash.h"
#include "ground/base/json.h"
#include "ground/base/version.h"
#include "infer/device/vulkan.h"

namespace lathe::app {
namespace {

// What a verdict is good for: another driver, program or instruction set is another matter.
std::string trust_key(const infer::DeviceFacts& facts, const infer::KernelTable& kernels) {
  std::string all =
      fmt::format("{} {} {} {}", facts.id, kNumerics, program_version(), kernels.name);
  for (const infer::GpuKernel& kernel : infer::gpu_kernels()) {
    for (const auto program : {kernel.spirv, kernel.spirv_by_doubles}) {
      const auto bytes = std::as_bytes(program);
      all += sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
  }
  return sha256_hex(all).substr(0, 32);
}

fs::path trust_file(const App& app, const std::string& key) {
  return app.journal_dir / "devices" / (key + ".json");
}

// nullopt: nothing is kept, or nothing that can be read.
std::optional<infer::Trust> read_trust(const fs::path& path) {
  const auto text = read_file(path);
  if (!text) return std::nullopt;
  const Json kept = Json::parse(*text, nullptr, false);
  if (!kept.is_object() || !kept.contains("refused") || !kept["refused"].is_array() ||
      !kept.contains("trusted") || !kept["trusted"].is_array())
    return std::nullopt;
  infer::Trust trust;
  for (const infer::ProductKernels& kernels : infer::product_kernels())
    for (const Json& name : kept["trusted"])
      if (name == kernels.narrow->name) trust.products.push_back(&kernels);
  for (const infer::GpuKernel* kernel : infer::step_kernels().all())
    for (const Json& name : kept["trusted"])
      if (name == kernel->name) trust.steps.push_back(kernel);
  for (const Json& refusal : kept["refused"]) {
    if (!refusal.is_object()) return std::nullopt;
    trust.refused.push_back({refusal.value("kernel", ""), refusal.value("why", "")});
  }
  return trust;
}

Status write_trust(const fs::path& path, const infer::DeviceFacts& facts,
                   const infer::Trust& trust) {
  Json kept{{"device", facts.name},
            {"driver", facts.driver},
            {"trusted", Json::array()},
            {"refused", Json::array()}};
  for (const infer::ProductKernels* kernels : trust.products)
    kept["trusted"].push_back(std::string(kernels->narrow->name));
  for (const infer::GpuKernel* kernel : trust.steps)
    kept["trusted"].push_back(std::string(kernel->name));
  for (const infer::Trust::Refusal& refusal : trust.refused)
    kept["refused"].push_back({{"kernel", refusal.kernel}, {"why", refusal.why}});
  LATHE_TRY_STATUS(make_directories(path.parent_path()));
  return write_file_atomic(path, kept.dump() + "\n");
}

// Of "vulkan:N".
Result<std::size_t> number_of(std::string_view name) {
  std::size_t number = 0;
  const std::string_view digits = name.substr(std::string_view("vulkan:").size());
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size())
    return invalid("--device is '{}'; behind vulkan: stands a number of `lathe device`", name);
  return number;
}

Result<std::shared_ptr<infer::Accelerator>> accelerator_of(const App& app,
                                                           const infer::DeviceFacts& facts,
                                                           const infer::KernelTable& kernels) {
  LATHE_TRY(auto device, infer::open_vulkan(facts));
  LATHE_TRY(infer::Trust trust, trust_of(app, *device, kernels));
  if (trust.products.empty()) {
    return fail(ErrorKind::kUnavailable,
                "{} gives other bits than the processor with every kernel; `lathe device --check` "
                "says which, a newer driver may help",
                facts.name);
  }
  return std::make_shared<infer::Accelerator>(
      std::move(device),
      infer::AcceleratorOptions{.open = [facts] { return infer::open_vulkan(facts); },
                                .trust = std::move(trust),
                                .tell = print_note});
}

}  // namespace

Result<std::vector<infer::DeviceFacts>> devices_here() {
  return infer::vulkan_devices();
}

Result<infer::Trust> trust_of(const App& app, infer::Device& device,
                              const infer::KernelTable& kernels, bool again) {
  const fs::path path = trust_file(app, trust_key(device.facts(), kernels));
  if (!again)
    if (auto kept = read_trust(path)) return std::move(*kept);
  constexpr std::size_t kLong = 8;
  LATHE_TRY(infer::Trust trust,
            infer::check_trust(device, kernels, {.rounds = again ? kLong : 1}, app.stop));
  // It can be looked at again: that it cannot be kept is no reason to go without.
  if (const Status kept = write_trust(path, device.facts(), trust); !kept)
    print_note(fmt::format("{}: {}", path.string(), kept.error().message));
  return trust;
}

Result<std::shared_ptr<infer::Accelerator>> choose_device(const App& app, const std::string& name,
                                                          const infer::KernelTable& kernels) {
  std::shared_ptr<infer::Accelerator> none;
  if (name == "cpu") return none;
  const bool numbered = name.starts_with("vulkan:");
  if (name != "auto" && name != "vulkan" && !numbered)
    return invalid("--device is '{}'; it may be cpu, auto, vulkan or vulkan:N", name);
  if (!infer::has_gpu_panels(kernels)) {
    if (name == "auto") return none;
    return invalid("--kernels {} keeps weights in another order than --device {} reads them",
                   kernels.name, name);
  }
  auto devices = devices_here();
  if (name == "auto") {
    if (!devices) return none;
    for (const infer::DeviceFacts& facts : *devices)
      if (facts.kind == infer::DeviceKind::kIntegrated && facts.missing.empty())
        if (auto accelerator = accelerator_of(app, facts, kernels)) return accelerator;
    return none;
  }
  if (!devices) return std::unexpected(devices.error());
  std::size_t number = 0;
  if (numbered) {
    LATHE_TRY(number, number_of(name));
  }
  if (number >= devices->size()) {
    return fail(ErrorKind::kNotFound, "--device is '{}'; `lathe device` lists {} devices", name,
                devices->size());
  }
  return accelerator_of(app, (*devices)[number], kernels);
}

}  // namespace lathe::app
