// A call of a run as bytes: all that another machine must have to carry it out. An order is
// canonical JSON, kept as a blob under its SHA-256; what is large in it stands beside it as blobs
// of their own. Whoever reads one trusts nothing in it.
#pragma once

#include <variant>

#include "loop/judges/judge.h"
#include "loop/makers/maker.h"

namespace lathe::loop {

// Where the bytes of orders and of what comes of them are kept: any thread.
class OrderBlobs {
 public:
  virtual ~OrderBlobs() = default;
  // Both end early (kCancelled) when `stop` is raised.
  virtual Result<std::string> put(std::string_view bytes, const StopFlag& stop) = 0;  // → sha256
  // Piece by piece, from the beginning; 0 once more: what was told before is void.
  using Take = std::function<Status(std::uint64_t at, std::string_view piece)>;
  virtual Status fetch(const std::string& sha256, std::uint64_t max_bytes, const StopFlag& stop,
                       const Take& take) = 0;
};

inline constexpr std::size_t kMaxOrderBytes = std::size_t{16} << 20;

// The bytes of a blob, held against their name: as they come, or at once.
Status fetch_checked(OrderBlobs& blobs, const std::string& sha256, std::uint64_t max_bytes,
                     const StopFlag& stop, const OrderBlobs::Take& take);
Result<std::string> checked_blob(OrderBlobs& blobs, const std::string& sha256, const StopFlag& stop,
                                 std::uint64_t max_bytes = kMaxFileBytes);

struct MakeOrder {
  const MakerKind* maker = nullptr;
  Move move = Move::kSample;
  int lap = 1;
  int n = 0;
  std::string rung = {};
  Json setting = {};
  std::string prefix = {}, tail = {};    // blobs
  std::optional<std::string> best = {};  // a blob
  std::vector<Critique> critiques = {};
  bool proposals = false;  // the answer may propose facts to remember
};

struct JudgeOrder {
  struct Part {
    Unit unit;
    bool passed = false;
    std::string candidate = {};  // a blob; "": nothing was ever made
    std::string media_type = {};
    std::vector<Judgement> judgements = {};
  };
  const JudgeKind* judge = nullptr;
  Scope scope = Scope::kUnit;
  std::string all_units = {};  // a blob: a list of units
  std::string candidate = {};  // unit scope: a blob
  std::string media_type = {};
  std::vector<Part> parts = {};
  Json discovered = {};
};

struct Order {
  struct File {
    std::string path, blob;
  };
  int numerics = 0;
  std::string build;  // of the program that asks
  std::string run, call;
  Reach privacy = Reach::kLocal;  // how far the worker may be away
  Milliseconds time_limit{0};
  Json options = {};  // of the maker or the judge, checked
  std::vector<Unit> units = {};
  std::vector<File> files = {};          // that the recipe names
  std::optional<std::string> tree = {};  // the manifest of the source tree's snapshot
  std::variant<MakeOrder, JudgeOrder> what = {};
};

std::string order_text(const Order& order);
// Errors name the member that is wrong.
Result<Order> read_order(std::string_view text);

// The blob of a list of units, and such a list.
std::string units_text(std::span<const Unit> units);
Result<std::vector<Unit>> read_units(std::string_view text);

// A unit of work is named by its call and its order: "make:0:1:0:0:0.<sha256>". The same order is
// the same unit.
std::string unit_id(std::string_view call, std::string_view order);
struct UnitName {
  std::string call, order;
};
Result<UnitName> parse_unit_id(std::string_view id);

}  // namespace lathe::loop
