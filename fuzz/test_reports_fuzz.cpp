// The readers of test reports: any bytes, bounded results.
#include <cstdlib>

#include "ground/base/text.h"
#include "loop/judges/test_reports.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size == 0) return 0;
  const std::size_t count = std::size(loop::kTestFormats) - 1;  // all but "exit"
  const std::string_view format = loop::kTestFormats[data[0] % count];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto report = loop::read_test_report(format, bytes);
  if (!report) return 0;
  for (const loop::TestResult& test : report->tests) {
    const bool sound = !test.name.empty() && test.name.size() < 600 && test.text.size() < 9000 &&
                       find_invalid_utf8(test.name) == std::string_view::npos &&
                       find_invalid_utf8(test.text) == std::string_view::npos;
    if (!sound) std::abort();
  }
  return 0;
}
