// Host memory as a device sees it: imported in pieces that overlap, each a buffer with an address.
#include <algorithm>

#include "infer/device/vulkan_api.h"

namespace lathe::infer {

namespace {

class ImportedPages final : public SharedMemory {
 public:
  ImportedPages(std::shared_ptr<VulkanHandle> vulkan) : vulkan_(std::move(vulkan)) {}
  ~ImportedPages() override {
    if (vulkan_->abandoned) return;
    for (const Piece& piece : pieces_) {
      if (piece.buffer) vulkan_->vkDestroyBuffer(vulkan_->device, piece.buffer, nullptr);
      if (piece.memory) vulkan_->vkFreeMemory(vulkan_->device, piece.memory, nullptr);
    }
  }

  std::uint64_t address(const void* at, std::size_t bytes) const override {
    const auto* begin = static_cast<const std::byte*>(at);
    for (const Piece& piece : pieces_) {
      if (begin < piece.bytes.data() || bytes > piece.bytes.size()) continue;
      const auto offset = static_cast<std::size_t>(begin - piece.bytes.data());
      if (offset <= piece.bytes.size() - bytes) return piece.address + offset;
    }
    return 0;
  }

  Status add(std::span<std::byte> bytes) {
    Piece& piece = pieces_.emplace_back(Piece{.bytes = bytes});
    if (const VkResult result = import(piece); result != VK_SUCCESS)
      return fail(ErrorKind::kUnavailable,
                  "{} does not take {} bytes of this machine's memory ({}): is it more than the "
                  "device may use?",
                  vulkan_->physical.facts.name, bytes.size(), vulkan_result(result));
    return {};
  }

 private:
  struct Piece {
    std::span<std::byte> bytes;
    VkBuffer buffer = VK_NULL_HANDLE;
    VkDeviceMemory memory = VK_NULL_HANDLE;
    std::uint64_t address = 0;
  };

  VkResult import(Piece& piece) {
    constexpr auto kHandle = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
    const VkDevice device = vulkan_->device;
    const VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO, .handleTypes = kHandle};
    const VkBufferCreateInfo buffer = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .pNext = &external,
        .size = piece.bytes.size(),
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    if (const auto made = vulkan_->vkCreateBuffer(device, &buffer, nullptr, &piece.buffer))
      return made;
    VkMemoryRequirements needs = {};
    vulkan_->vkGetBufferMemoryRequirements(device, piece.buffer, &needs);
    VkMemoryHostPointerPropertiesEXT host = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    if (const auto known = vulkan_->vkGetMemoryHostPointerPropertiesEXT(device, kHandle,
                                                                        piece.bytes.data(), &host))
      return known;
    const int type = memory_type(needs.memoryTypeBits & host.memoryTypeBits);
    if (type < 0 || needs.size > piece.bytes.size()) return VK_ERROR_INVALID_EXTERNAL_HANDLE;

    const VkImportMemoryHostPointerInfoEXT import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
        .handleType = kHandle,
        .pHostPointer = piece.bytes.data()};
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .pNext = &import,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &flags,
                                       .allocationSize = piece.bytes.size(),
                                       .memoryTypeIndex = static_cast<std::uint32_t>(type)};
    if (const auto made = vulkan_->vkAllocateMemory(device, &info, nullptr, &piece.memory))
      return made;
    if (const auto bound = vulkan_->vkBindBufferMemory(device, piece.buffer, piece.memory, 0))
      return bound;
    const VkBufferDeviceAddressInfo where = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                             .buffer = piece.buffer};
    piece.address = vulkan_->vkGetBufferDeviceAddress(device, &where);
    return piece.address != 0 ? VK_SUCCESS : VK_ERROR_UNKNOWN;
  }

  // One whose writes both sides see without being told, cached if there is such a one; -1: none.
  int memory_type(std::uint32_t bits) const {
    constexpr VkMemoryPropertyFlags kCoherent =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkPhysicalDeviceMemoryProperties& memory = vulkan_->physical.memory;
    for (const auto wanted : {kCoherent | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, kCoherent})
      for (std::uint32_t i = 0; i < memory.memoryTypeCount; ++i)
        if ((bits >> i & 1) && (memory.memoryTypes[i].propertyFlags & wanted) == wanted)
          return static_cast<int>(i);
    return -1;
  }

  std::shared_ptr<VulkanHandle> vulkan_;
  std::vector<Piece> pieces_;
};

}  // namespace

Result<std::unique_ptr<SharedMemory>> import_pages(std::shared_ptr<VulkanHandle> vulkan,
                                                   std::span<std::byte> pages,
                                                   std::uint64_t piece_bytes,
                                                   std::uint64_t overlap_bytes) {
  const VulkanPhysical& device = vulkan->physical;
  if (!device.imports)
    return invalid("{} cannot work on this machine's memory (its driver has no {})",
                   device.facts.name, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  const std::uint64_t unit = std::max<std::uint64_t>(device.import_alignment, 1);
  if (pages.empty() || reinterpret_cast<std::uintptr_t>(pages.data()) % unit != 0 ||
      pages.size() % unit != 0)
    return invalid("{} takes memory in whole pages of {} bytes", device.facts.name, unit);
  const std::uint64_t piece = std::min(piece_bytes, device.facts.piece_bytes) / unit * unit;
  const std::uint64_t overlap = (overlap_bytes + unit - 1) / unit * unit;
  if (piece <= overlap)
    return invalid("{} takes memory in pieces of {} bytes: too small", device.facts.name, piece);

  auto imported = std::make_unique<ImportedPages>(std::move(vulkan));
  for (std::uint64_t at = 0;; at += piece - overlap) {
    const std::uint64_t size = std::min<std::uint64_t>(piece, pages.size() - at);
    LATHE_TRY_STATUS(imported->add(pages.subspan(at, size)));
    if (at + size == pages.size()) return imported;
  }
}

}  // namespace lathe::infer
