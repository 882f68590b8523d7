// Fetches heads of GGUF files until they can be read.
#include "serve/hub/headers.h"

#include <fstream>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "infer/formats/gguf_header.h"

namespace lathe::serve {
namespace {

constexpr std::uint64_t kFirstPiece = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxHead = std::uint64_t{64} << 20;

// A file of the size it will have, and of its bytes those that are known.
Status write_with_hole(const fs::path& path, std::string_view head, std::uint64_t bytes) {
  std::ofstream(path, std::ios::binary) << head;
  std::error_code error;
  fs::resize_file(path, bytes, error);
  if (error) return fail(ErrorKind::kUnavailable, "{}: {}", path.string(), error.message());
  return {};
}

// Whether all that was read of the header had come: where the first tensor begins it has ended.
bool reaches(const infer::GgufHeader& header, std::uint64_t fetched, std::uint64_t bytes) {
  std::uint64_t start = bytes;
  for (const infer::GgufTensor& tensor : header.tensors) start = std::min(start, tensor.offset);
  return fetched >= start;
}

Status fetch_head(const HubClient& client, const WantedFile& file, const fs::path& path) {
  std::string head;
  for (std::uint64_t wanted = kFirstPiece;; wanted *= 2) {
    wanted = std::min(wanted, file.bytes);
    LATHE_TRY(const std::string more,
              client.piece(file.url, head.size(), wanted - head.size(), file.name));
    head += more;
    LATHE_TRY_STATUS(write_with_hole(path, head, file.bytes));
    LATHE_TRY(const infer::InputFile input, infer::InputFile::open(path));
    const auto header = infer::read_gguf_header(input);
    if (header && reaches(*header, head.size(), file.bytes)) return {};
    if (head.size() < wanted || wanted == file.bytes || wanted >= kMaxHead)
      return header ? invalid("{}: its header is longer than {} bytes, or not all of it came",
                              path.string(), head.size())
                    : std::unexpected(header.error());
    // A file that is none is known by its first bytes.
    if (!head.starts_with("GGUF")) return std::unexpected(header.error());
  }
}

}  // namespace

Status check_headers(const HubClient& client, const PullPlan& plan,
                     const std::function<Status(const infer::Gguf& headers)>& check) {
  LATHE_TRY(const TempDir temporary, TempDir::make("pull"));
  const auto look = [&]() -> Status {
    for (const WantedFile& file : plan.files)
      LATHE_TRY_STATUS(fetch_head(client, file, temporary.path() / file.name));
    LATHE_TRY(const infer::Gguf headers,
              infer::Gguf::open(temporary.path() / plan.files.front().name));
    return check(headers);
  };
  Status looked = look();
  // Nobody knows the place where they lay.
  if (!looked)
    looked.error().message =
        replace_all(looked.error().message, temporary.path().string() + "/", "");
  return looked;
}

}  // namespace lathe::serve
