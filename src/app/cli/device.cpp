// lathe device: the devices beside the processor, and with what they are trusted.
#include "app/cli/devices.h"
#include "app/cli/local_model.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "infer/device/vulkan.h"

namespace lathe::app {
namespace {

struct DeviceFlags {
  bool check = false;
  std::string kernels;
};

constexpr std::string_view kKinds[] = {"integrated", "discrete", "software", "other"};

struct Seen {
  infer::DeviceFacts facts;
  std::optional<infer::Trust> trust;
  std::string fault;  // why nothing can be said of it
};

Seen look_at(const App& app, infer::DeviceFacts facts, const infer::KernelTable& kernels,
             bool check) {
  Seen seen{.facts = std::move(facts), .trust = {}, .fault = {}};
  seen.fault = seen.facts.missing;
  if (!seen.fault.empty()) return seen;
  auto device = infer::open_vulkan(seen.facts);
  if (!device) {
    seen.fault = device.error().message;
    return seen;
  }
  auto trust = trust_of(app, **device, kernels, check);
  if (trust)
    seen.trust = std::move(*trust);
  else
    seen.fault = trust.error().message;
  return seen;
}

Json seen_json(const Seen& seen, std::size_t number) {
  Json json{{"device", fmt::format("vulkan:{}", number)},
            {"name", seen.facts.name},
            {"driver", seen.facts.driver},
            {"kind", kKinds[static_cast<std::size_t>(seen.facts.kind)]},
            {"memory", seen.facts.memory},
            {"fault", seen.fault},
            {"trusted", Json::array()},
            {"between", Json::array()},
            {"refused", Json::array()}};
  if (!seen.trust) return json;
  for (const infer::ProductKernels* kernels : seen.trust->products)
    json["trusted"].push_back(std::string(infer::tensor_type_info(kernels->type).name));
  for (const infer::GpuKernel* kernel : seen.trust->steps)
    json["between"].push_back(std::string(kernel->name));
  for (const infer::Trust::Refusal& refusal : seen.trust->refused)
    json["refused"].push_back({{"kernel", refusal.kernel}, {"why", refusal.why}});
  return json;
}

std::string seen_text(const Json& seen) {
  std::string text = fmt::format("{:<10} {} · {} · {}, {}\n", seen["device"].get<std::string>(),
                                 seen["name"].get<std::string>(), seen["driver"].get<std::string>(),
                                 seen["kind"].get<std::string>(),
                                 format_bytes(seen["memory"].get<std::uint64_t>()));
  const std::string indent(11, ' ');
  if (const auto fault = seen["fault"].get<std::string>(); !fault.empty())
    return text + indent + "not used: " + fault + "\n";
  text += indent + "the processor's bits for products: " +
          join(seen["trusted"].get<std::vector<std::string>>(), " ") + "\n" + indent +
          "and between them: " + join(seen["between"].get<std::vector<std::string>>(), " ") + "\n";
  for (const Json& refusal : seen["refused"])
    text += indent + "not used: " + refusal["kernel"].get<std::string>() + ": " +
            refusal["why"].get<std::string>() + "\n";
  return text;
}

int device(const App& app, const DeviceFlags& flags) {
  const auto kernels = choose_kernels(flags.kernels);
  if (!kernels) return report_error(app, kernels.error());
  if (!infer::has_gpu_panels(**kernels))
    return report_error(app, Error{.message = fmt::format("no device stands in for --kernels {}",
                                                          (*kernels)->name)});
  const auto devices = devices_here();
  if (!devices) return report_error(app, devices.error());
  Json all = Json::array();
  for (const infer::DeviceFacts& facts : *devices) {
    all.push_back(seen_json(look_at(app, facts, **kernels, flags.check), all.size()));
    if (!app.json) print(seen_text(all.back()));
  }
  if (app.json) print_json({{"devices", all}});
  if (!app.json)
    print(
        "On devices: products with weights of these types, and what stands between them in layers "
        "of attention and dense feed-forward parts. The processor computes the rest: recurrent "
        "and latent layers, choice of experts.\n");
  return kExitPassed;
}

}  // namespace

void add_device(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<DeviceFlags>();
  CLI::App* command = cli.add_subcommand(
      "device", "The devices beside the processor, and what their bits are trusted with");
  command->add_flag("--check", flags->check, "Compare again, and longer");
  command->add_option("--kernels", flags->kernels, "Instruction set that they are compared with");
  command->callback(
      [&app, &action, flags] { action = [&app, flags] { return device(app, *flags); }; });
}

}  // namespace lathe::app
