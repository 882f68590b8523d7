// The page's files, put into the program by the assembler. LATHE_WEB_DIR is the directory where the
// build has packed them; without it there is no page.
#include "serve/web/assets.h"

#include "ground/base/hash.h"

#ifdef LATHE_WEB_DIR
// Two symbols around the bytes of a file.
#define LATHE_ASSET(symbol, file)                             \
  asm(".section .rodata\n"                                    \
      ".balign 16\n"                                          \
      ".global lathe_web_" #symbol "\nlathe_web_" #symbol     \
      ":\n"                                                   \
      ".incbin \"" LATHE_WEB_DIR "/" file                     \
      "\"\n"                                                  \
      ".global lathe_web_" #symbol "_end\nlathe_web_" #symbol \
      "_end:\n"                                               \
      ".byte 0\n.previous\n");                                \
  extern "C" const char lathe_web_##symbol[], lathe_web_##symbol##_end[]

LATHE_ASSET(index, "index.html");
LATHE_ASSET(script, "app.js.gz");
LATHE_ASSET(style, "app.css.gz");
LATHE_ASSET(icon, "icon.svg.gz");
LATHE_ASSET(licences, "LICENSES.txt.gz");

#define LATHE_BYTES(symbol)            \
  std::string_view(lathe_web_##symbol, \
                   static_cast<std::size_t>(lathe_web_##symbol##_end - lathe_web_##symbol))
#endif

namespace lathe::serve {

std::span<const Asset> web_assets() {
#ifdef LATHE_WEB_DIR
  static const Asset kAssets[] = {
      {"app.js", "text/javascript; charset=utf-8", LATHE_BYTES(script)},
      {"app.css", "text/css; charset=utf-8", LATHE_BYTES(style)},
      {"icon.svg", "image/svg+xml", LATHE_BYTES(icon)},
      {"LICENSES.txt", "text/plain; charset=utf-8", LATHE_BYTES(licences)},
  };
  return kAssets;
#else
  return {};
#endif
}

std::string_view web_index() {
#ifdef LATHE_WEB_DIR
  return LATHE_BYTES(index);
#else
  return {};
#endif
}

std::string web_hash() {
  Sha256 hash;
  hash.add(web_index());
  for (const Asset& asset : web_assets()) hash.add(asset.gzip);
  return hash.hex().substr(0, 16);
}

}  // namespace lathe::serve
