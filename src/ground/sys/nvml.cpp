// NVIDIA's management library, loaded when it is there.
#include "ground/sys/nvml.h"

#include <dlfcn.h>

#include <array>

namespace lathe {

// The parts of NVML's interface that are used here; 0 is its success.
struct Nvml::Functions {
  using Handle = void*;
  struct Memory {
    unsigned long long total, free, used;
  };
  void* library = nullptr;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*handle)(unsigned, Handle*) = nullptr;
  int (*name)(Handle, char*, unsigned) = nullptr;
  int (*memory)(Handle, Memory*) = nullptr;
  int (*energy)(Handle, unsigned long long*) = nullptr;  // millijoules
  bool started = false;

  ~Functions() {
    if (started) shutdown();
    if (library) ::dlclose(library);
  }

  template <class Function>
  bool find(Function& function, const char* symbol) {
    function = reinterpret_cast<Function>(::dlsym(library, symbol));
    return function != nullptr;
  }
};

Nvml::Nvml(std::unique_ptr<Functions> functions) : functions_(std::move(functions)) {}
Nvml::~Nvml() = default;

Result<std::unique_ptr<Nvml>> Nvml::open(const char* library) {
  auto f = std::make_unique<Functions>();
  f->library = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!f->library) return fail(ErrorKind::kNotFound, "no NVIDIA driver ({})", library);
  if (!f->find(f->init, "nvmlInit_v2") || !f->find(f->shutdown, "nvmlShutdown") ||
      !f->find(f->count, "nvmlDeviceGetCount_v2") ||
      !f->find(f->handle, "nvmlDeviceGetHandleByIndex_v2") ||
      !f->find(f->name, "nvmlDeviceGetName") || !f->find(f->memory, "nvmlDeviceGetMemoryInfo") ||
      !f->find(f->energy, "nvmlDeviceGetTotalEnergyConsumption"))
    return fail(ErrorKind::kUnavailable, "{} is too old", library);
  if (const int error = f->init(); error != 0)
    return fail(ErrorKind::kUnavailable, "{} cannot be used: error {}; is the driver loaded?",
                library, error);
  f->started = true;
  return std::unique_ptr<Nvml>(new Nvml(std::move(f)));
}

std::vector<Nvml::Device> Nvml::devices() const {
  std::vector<Device> devices;
  unsigned count = 0;
  if (functions_->count(&count) != 0) return devices;
  for (unsigned i = 0; i < count; ++i) {
    Functions::Handle handle = nullptr;
    if (functions_->handle(i, &handle) != 0) continue;
    Device device;
    std::array<char, 96> name{};
    if (functions_->name(handle, name.data(), name.size() - 1) == 0) device.name = name.data();
    Functions::Memory memory{};
    if (functions_->memory(handle, &memory) == 0) device.memory_bytes = memory.total;
    unsigned long long millijoules = 0;
    if (functions_->energy(handle, &millijoules) == 0)
      device.joules = static_cast<double>(millijoules) / 1000;
    devices.push_back(std::move(device));
  }
  return devices;
}

}  // namespace lathe
