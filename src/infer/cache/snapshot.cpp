// Cached prefixes as files, with sums that find damage.
#include "infer/cache/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "ground/base/hash.h"

namespace lathe::infer {
namespace {

static_assert(std::endian::native == std::endian::little, "the file holds KV as memory holds it");

constexpr char kMagic[8] = {'L', 'A', 'T', 'H', 'E', 'K', 'V', '3'};
constexpr std::size_t kDigest = 64;  // SHA-256 as hex

// magic · length and text of the identity · bytes of a block · number of entries · digest of these
struct Header {
  char magic[8];
  std::uint32_t identity_bytes;
  std::uint32_t positions;    // of a block
  std::uint64_t block_bytes;  // of all groups
  std::uint64_t entries;
};
// Each entry: this, its tokens, its blocks' bytes, the digest of all three.
struct EntryHead {
  std::int64_t parent;
  std::uint64_t owner;
  std::uint32_t tokens;
  std::uint32_t missing;  // a bit for each group of which it has no block
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string_view bytes_of(const void* data, std::size_t size) {
  return {static_cast<const char*>(data), size};
}

Error failed(const fs::path& path, std::string_view what) {
  return {ErrorKind::kUnavailable,
          fmt::format("{}: cannot be {}: {}", path.string(), what, std::strerror(errno))};
}

Status write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return std::unexpected(failed(path, "written"));
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

Status read_all(int fd, void* into, std::size_t size, const fs::path& path) {
  auto* at = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t got = ::read(fd, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(failed(path, "read"));
    if (got == 0) return invalid("{}: ends too early; it is not used", path.string());
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

// An entry has the blocks of all layers that keep every position.
bool lacks_positions(const MemoryStore& store, std::uint32_t missing) {
  for (std::size_t g = 0; g < store.groups(); ++g)
    if ((missing >> g & 1) != 0 && store.layout().groups()[g].keeps_all()) return true;
  return false;
}

std::uint64_t block_bytes(const MemoryStore& store) {
  return store.layout().block_bytes() + store.layout().state_bytes();
}

std::uint64_t bytes_of(const MemoryStore& store, const PrefixIndex::Entry& entry) {
  std::uint64_t bytes = 0;
  for (std::size_t g = 0; g < entry.blocks.size(); ++g)
    if (entry.blocks[g]) bytes += store.pool(g).block_bytes();
  return bytes;
}

Status write_entry(int fd, const MemoryStore& store, const PrefixIndex::Entry& entry,
                   std::string& buffer, const fs::path& path) {
  EntryHead head{entry.parent, entry.owner, static_cast<std::uint32_t>(entry.tokens.size()), 0};
  for (std::size_t g = 0; g < entry.blocks.size(); ++g)
    if (!entry.blocks[g]) head.missing |= 1u << g;
  buffer.assign(bytes_of(&head, sizeof head));
  buffer += bytes_of(entry.tokens.data(), entry.tokens.size() * sizeof(PositionKey));
  for (std::size_t g = 0; g < entry.blocks.size(); ++g)
    if (entry.blocks[g])
      buffer += bytes_of(store.pool(g).data(*entry.blocks[g]), store.pool(g).block_bytes());
  buffer += sha256_hex(buffer);
  return write_all(fd, buffer, path);
}

Result<PrefixIndex::Entry> read_entry(int fd, MemoryStore& store, std::size_t index,
                                      std::string& buffer, const fs::path& path) {
  EntryHead head;
  LATHE_TRY_STATUS(read_all(fd, &head, sizeof head, path));
  if (head.tokens == 0 || head.tokens > kChunk || head.parent < -1 ||
      head.parent >= static_cast<std::int64_t>(index) ||
      std::uint64_t{head.missing} >> store.groups() != 0 || lacks_positions(store, head.missing)) {
    return invalid("{}: entry {} is damaged; the snapshot is not used", path.string(), index);
  }
  const std::size_t ids = static_cast<std::size_t>(head.tokens) * sizeof(PositionKey);
  std::size_t blocks = 0;
  for (std::size_t g = 0; g < store.groups(); ++g)
    if ((head.missing >> g & 1) == 0) blocks += store.pool(g).block_bytes();
  buffer.assign(bytes_of(&head, sizeof head));
  buffer.resize(sizeof head + ids + blocks);
  LATHE_TRY_STATUS(read_all(fd, buffer.data() + sizeof head, ids + blocks, path));
  char digest[kDigest];
  LATHE_TRY_STATUS(read_all(fd, digest, kDigest, path));
  if (sha256_hex(buffer) != bytes_of(digest, kDigest)) {
    return invalid("{}: the checksum of entry {} is wrong; the snapshot is not used", path.string(),
                   index);
  }
  PrefixIndex::Entry entry;
  entry.parent = head.parent;
  entry.owner = head.owner;
  entry.tokens.resize(static_cast<std::size_t>(head.tokens));
  std::memcpy(entry.tokens.data(), buffer.data() + sizeof head, ids);
  entry.blocks.resize(store.groups());
  const char* from = buffer.data() + sizeof head + ids;
  for (std::size_t g = 0; g < store.groups(); ++g) {
    if ((head.missing >> g & 1) != 0) continue;
    BlockPool& pool = store.pool(g);
    LATHE_TRY(const BlockId block, pool.take());
    std::memcpy(pool.data(block), from, pool.block_bytes());
    from += pool.block_bytes();
    entry.blocks[g] = block;
  }
  return entry;
}

}  // namespace

Result<std::size_t> save_snapshot(const KvCache& cache, std::string_view identity,
                                  const fs::path& path, std::uint64_t max_bytes) {
  std::vector<PrefixIndex::Entry> entries = cache.index().entries();
  std::size_t count = 0;
  for (std::uint64_t bytes = 0; count < entries.size(); ++count) {
    bytes += bytes_of(cache.store(), entries[count]);
    if (bytes > max_bytes) break;
  }
  entries.resize(count);
  const fs::path part = path.string() + ".part";
  {
    const Descriptor file(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file.get() < 0) return std::unexpected(failed(part, "written"));
    Header header{.magic = {},
                  .identity_bytes = static_cast<std::uint32_t>(identity.size()),
                  .positions = kChunk,
                  .block_bytes = block_bytes(cache.store()),
                  .entries = entries.size()};
    std::memcpy(header.magic, kMagic, sizeof kMagic);
    std::string buffer(bytes_of(&header, sizeof header));
    buffer += identity;
    buffer += sha256_hex(buffer);
    Status status = write_all(file.get(), buffer, part);
    for (std::size_t i = 0; status && i < entries.size(); ++i)
      status = write_entry(file.get(), cache.store(), entries[i], buffer, part);
    if (status && ::fsync(file.get()) != 0) status = std::unexpected(failed(part, "written"));
    if (!status) {
      ::unlink(part.c_str());
      return std::unexpected(status.error());
    }
  }
  if (::rename(part.c_str(), path.c_str()) != 0) return std::unexpected(failed(path, "written"));
  return entries.size();
}

Result<std::size_t> load_snapshot(KvCache& cache, std::string_view identity, const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && errno == ENOENT)
    return fail(ErrorKind::kNotFound, "{}: there is no snapshot", path.string());
  if (file.get() < 0) return std::unexpected(failed(path, "read"));
  Header header;
  LATHE_TRY_STATUS(read_all(file.get(), &header, sizeof header, path));
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.identity_bytes > 4096)
    return invalid("{}: is no snapshot of this program; it is not used", path.string());
  std::string head(bytes_of(&header, sizeof header));
  head.resize(sizeof header + header.identity_bytes);
  LATHE_TRY_STATUS(read_all(file.get(), head.data() + sizeof header, header.identity_bytes, path));
  char digest[kDigest];
  LATHE_TRY_STATUS(read_all(file.get(), digest, kDigest, path));
  if (sha256_hex(head) != bytes_of(digest, kDigest))
    return invalid("{}: the checksum of its head is wrong; it is not used", path.string());
  if (std::string_view(head).substr(sizeof header) != identity || header.positions != kChunk ||
      header.block_bytes != block_bytes(cache.store())) {
    return invalid("{}: was made for another model, KV type or machine; it is not used",
                   path.string());
  }
  std::vector<PrefixIndex::Entry> entries;
  Status status;
  std::string buffer;
  MemoryStore& store = cache.store();
  const BlockCounts one(store.groups(), 1);
  for (std::uint64_t i = 0; status && i < header.entries && store.can_take(one); ++i) {
    auto entry = read_entry(file.get(), store, entries.size(), buffer, path);
    if (!entry) {
      status = std::unexpected(entry.error());
      break;
    }
    // Only a full block has others behind it.
    if (entry->parent >= 0 &&
        entries[static_cast<std::size_t>(entry->parent)].tokens.size() != kChunk)
      status = invalid("{}: entry {} is damaged; the snapshot is not used", path.string(), i);
    entries.push_back(std::move(*entry));
  }
  if (status) cache.index().restore(entries);
  for (const auto& entry : entries)  // the index holds its own
    for (std::size_t g = 0; g < entry.blocks.size(); ++g)
      if (entry.blocks[g]) store.pool(g).release(*entry.blocks[g]);
  if (!status) return std::unexpected(status.error());
  return entries.size();
}

}  // namespace lathe::infer
