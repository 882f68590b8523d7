// Remembered prefixes on disk, so that a restart is warm. A snapshot holds KV bytes as they are:
// `identity` says of what (the model's bytes, the KV type, the kernel table), and one of anything
// else is refused. Written beside its place and renamed; every block carries a checksum, so a
// damaged file is refused whole and never gives a wrong answer. The engine's thread only.
#pragma once

#include "ground/base/file.h"
#include "infer/cache/kv_cache.h"

namespace lathe::infer {

// As many blocks as fit into `max_bytes`, the most recently used first. Returns how many.
Result<std::size_t> save_snapshot(const KvCache& cache, std::string_view identity,
                                  const fs::path& path, std::uint64_t max_bytes);
// Into an empty index, as far as the budget has free room. Returns how many blocks; kNotFound:
// there is no such file.
Result<std::size_t> load_snapshot(KvCache& cache, std::string_view identity, const fs::path& path);

}  // namespace lathe::infer
